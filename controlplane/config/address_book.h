// Who owns which address in the configuration, and which two owners cannot both be right.
//
// Every VIP, pool, backend, node and port address is claimed here in the order of the file; a claim
// that contradicts an earlier one is a problem at the later place.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/cluster.h"
#include "controlplane/config/problem.h"
#include "dataplane/wire/address.h"

namespace holdfast {

struct AddressClaim {
    enum class Use : uint8_t { ring, own, vip, pool, backend } use;
    IpAddress address;
    std::string owner;        // the node's or service's name
    GroupId group;            // vip, pool
    uint16_t first_port = 0;  // vip, pool, backend
    uint16_t last_port = 0;
    Mark mark;
};

bool is_multicast(const IpAddress& a);

class AddressBook {
public:
    void claim(const AddressClaim& claim, Problems& problems);

private:
    std::map<IpAddress, std::vector<AddressClaim>> claims_;
};

}  // namespace holdfast
