// Whose an address is: a VIP or a pool address of a group, and which service listens on a VIP's
// port. Made once from the options; searched when no session matches.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "dataplane/service/service.h"

namespace holdfast {

class AddressBook {
public:
    struct Owner {
        IpAddress address;
        GroupId group;
        bool pool = false;  // else a VIP
    };

    explicit AddressBook(const std::vector<Service>& services) {
        for (uint16_t i = 0; i < services.size(); ++i) {
            const Service& s = services[i];
            for (const IpAddress& vip : s.vips) {
                owners_.push_back({vip, s.group, false});
                listeners_.push_back({{vip, s.port}, i});
            }
            for (const Pool& p : s.pools) owners_.push_back({p.address, s.group, true});
        }
        std::ranges::stable_sort(owners_, {}, &Owner::address);
        const auto same = [](const Owner& a, const Owner& b) { return a.address == b.address; };
        owners_.erase(std::unique(owners_.begin(), owners_.end(), same), owners_.end());
        std::ranges::stable_sort(listeners_, {}, &Listener::endpoint);
    }

    const Owner* owner(const IpAddress& address) const {
        const auto it = std::ranges::lower_bound(owners_, address, {}, &Owner::address);
        return it != owners_.end() && it->address == address ? &*it : nullptr;
    }
    std::optional<uint16_t> service(const Endpoint& vip) const {
        const auto it = std::ranges::lower_bound(listeners_, vip, {}, &Listener::endpoint);
        if (it == listeners_.end() || it->endpoint != vip) return std::nullopt;
        return it->service;
    }
    const std::vector<Owner>& owners() const { return owners_; }

private:
    struct Listener {
        Endpoint endpoint;
        uint16_t service = 0;
    };
    std::vector<Owner> owners_;
    std::vector<Listener> listeners_;
};

}  // namespace holdfast
