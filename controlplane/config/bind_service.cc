// [[group]] [[service]]
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "controlplane/config/bind.h"

namespace holdfast {

namespace {

void bind_order(const Section& s, const Config& config, Group& group) {
    std::vector<std::string_view> names;
    for (const NodeEntry& node : config.cluster.nodes) names.push_back(node.name);
    std::set<std::string> seen;
    for (const auto& [name, mark] : s.texts("order")) {
        const auto node = std::ranges::find(config.cluster.nodes, name, &NodeEntry::name);
        if (node == config.cluster.nodes.end()) {
            const auto meant = nearest(name, names);
            s.problems().error(
                mark,
                fmt::format("no node has the name \"{}\"{}", name,
                            meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant)));
        } else if (!seen.insert(name).second) {
            s.problems().error(mark, fmt::format("node \"{}\" is in the order twice", name));
        } else {
            group.order.push_back(node->id);
        }
    }
}

}  // namespace

void bind_groups(const Section& root, Config& config) {
    for (const Section& s : root.children("group")) {
        Group group;
        group.id = {static_cast<uint8_t>(s.integer("id"))};
        // RFC 9568 section 7.3; the group's number in place of the VRID.
        group.virtual_mac =
            s.mac("virtual_mac")
                .value_or(MacAddress{{0x00, 0x00, 0x5e, 0x00, 0x01, group.id.value}});
        for (const Group& other : config.groups) {
            if (group.id.value != 0 && other.id == group.id)
                s.problems().error(s.mark("id"),
                                   fmt::format("group {} is there twice", group.id.value));
            else if (group.id.value != 0 && other.virtual_mac == group.virtual_mac)
                s.problems().error(s.mark("virtual_mac"),
                                   fmt::format("{} is already group {}'s",
                                               to_string(group.virtual_mac), other.id.value));
        }
        bind_order(s, config, group);
        config.groups.push_back(std::move(group));
    }
}

namespace {

using Use = AddressClaim::Use;

void bind_backends(const Section& s, Service& service, AddressBook& book) {
    for (const Section& b : s.children("backend")) {
        Backend backend;
        backend.name = b.text("name");
        const auto address = b.address("address");
        backend.endpoint = {address.value_or(IpAddress{}),
                            static_cast<uint16_t>(b.integer("port"))};
        backend.weight = static_cast<uint32_t>(b.integer("weight"));
        for (const Backend& other : service.backends) {
            if (!backend.name.empty() && other.name == backend.name)
                b.problems().error(b.mark("name"),
                                   fmt::format("backend \"{}\" is there twice", backend.name));
            if (address && other.endpoint == backend.endpoint)
                b.problems().error(b.mark("address"),
                                   fmt::format("{} is already backend \"{}\"",
                                               to_string(backend.endpoint), other.name));
        }
        if (address)
            book.claim({Use::backend,
                        *address,
                        service.name,
                        {},
                        backend.endpoint.port,
                        backend.endpoint.port,
                        b.mark("address")},
                       b.problems());
        service.backends.push_back(std::move(backend));
    }
}

void bind_addresses(const Section& s, Service& service, AddressBook& book) {
    for (const auto& [vip, mark] : s.addresses("vip")) {
        book.claim({Use::vip, vip, service.name, service.group, service.port, service.port, mark},
                   s.problems());
        service.vips.push_back(vip);
    }
    const auto [first, last] = s.port_range("pool_ports");
    for (const auto& [address, mark] : s.addresses("pool")) {
        book.claim({Use::pool, address, service.name, service.group, first, last, mark},
                   s.problems());
        service.pools.push_back({address, first, last});
    }
}

HealthCheck bind_health(const Section& s) {
    HealthCheck health;
    if (const Item* item = s.find("health"); item && item->kind == Item::Kind::boolean) {
        health.enabled = item->boolean;
        return health;
    }
    const Section h = s.child("health");
    health.interval = h.duration("interval");
    health.timeout = h.duration("timeout");
    health.rise = static_cast<uint8_t>(h.integer("rise"));
    health.fall = static_cast<uint8_t>(h.integer("fall"));
    if (health.timeout > health.interval)
        h.problems().error(h.mark("timeout"),
                           "service.health.timeout must not exceed service.health.interval");
    return health;
}

IdleTimeouts bind_idle(const Section& s) {
    const Section i = s.child("idle");
    IdleTimeouts idle;
    const IdleTimeouts floor;  // the defaults are RFC 5382's floor
    idle.embryonic = i.duration("embryonic");
    idle.established = i.duration("established");
    idle.closing = i.duration("closing");
    idle.closed = i.duration("closed");
    if (idle.established < floor.established)
        i.problems().warning(i.mark("established"),
                             "below RFC 5382 REQ-5 (124m): connections that live may be forgotten");
    return idle;
}

template <typename List, typename Address>
bool has_family(const List& list, bool v4, Address address) {
    return std::ranges::any_of(list, [&](const auto& x) { return address(x).is_v4() == v4; });
}

// What a family has, it must have all of: a session keeps to its family.
void check_families(const Section& s, const Service& service) {
    for (const bool v4 : {true, false}) {
        const char* family = v4 ? "IPv4" : "IPv6";
        const bool vip = has_family(service.vips, v4, [](const auto& x) { return x; });
        const bool pool = has_family(service.pools, v4, [](const auto& x) { return x.address; });
        const bool backend =
            has_family(service.backends, v4, [](const auto& x) { return x.endpoint.address; });
        if (vip && !backend)
            s.problems().error(s.mark("vip"), fmt::format("service \"{}\" has an {} VIP, but no {} "
                                                          "backend",
                                                          service.name, family, family));
        if (vip && !pool)
            s.problems().error(s.mark("vip"), fmt::format("service \"{}\" has an {} VIP, but no {} "
                                                          "pool address",
                                                          service.name, family, family));
        if (!vip && backend)
            s.problems().error(s.mark("vip"),
                               fmt::format("service \"{}\" has an {} backend, but no {} VIP: it "
                                           "would never be used",
                                           service.name, family, family));
        if (!vip && pool)
            s.problems().error(s.mark("pool"),
                               fmt::format("service \"{}\" has an {} pool address, but no {} VIP: "
                                           "it would never be used",
                                           service.name, family, family));
    }
}

// A worker can use only the ports whose replies the hardware brings back to it: about its share.
// 64 leaves each a few even when the shares are uneven (a guess; the ports are cheap).
void check_pool_size(const Section& s, const Service& service, uint32_t workers) {
    constexpr uint32_t kPortsPerWorker = 64;
    for (const Pool& pool : service.pools) {
        const uint32_t ports = pool.last_port - pool.first_port + 1u;
        if (ports >= kPortsPerWorker * workers) continue;
        s.problems().error(s.mark("pool_ports"),
                           fmt::format("the pool of service \"{}\" is too small: {} port{} for {} "
                                       "worker{}, at least {} are needed",
                                       service.name, ports, ports == 1 ? "" : "s", workers,
                                       workers == 1 ? "" : "s", kPortsPerWorker * workers));
        return;
    }
}

void check_health_source(const Section& s, const Service& service, const Config& config) {
    if (!service.health.enabled) return;
    for (const bool v4 : {true, false}) {
        const bool backend =
            has_family(service.backends, v4, [](const auto& x) { return x.endpoint.address; });
        const bool own = has_family(config.back.addresses, v4, [](const auto& x) { return x; });
        if (backend && !own)
            s.problems().error(s.mark("health"),
                               fmt::format("health checks of service \"{}\" need an {} address in "
                                           "[port.back] to come from",
                                           service.name, v4 ? "IPv4" : "IPv6"));
    }
}

TlsOptions bind_tls(const Section& s, const Service& service) {
    const Section t = s.child("tls");
    TlsOptions options;
    options.service = service.name;
    options.minimum = t.text("minimum") == "1.3" ? TlsVersion::tls13 : TlsVersion::tls12;
    for (const auto& [name, mark] : t.texts("alpn")) options.alpn.push_back(name);
    for (const auto& [name, mark] : t.texts("suites")) {
        options.suites.push_back(name);
        if (!find_tls_suite(name))
            t.problems().error(mark, fmt::format("\"{}\" is not a suite whose connections can be "
                                                 "carried on",
                                                 name));
    }
    const std::string show = t.text("client_certificate");
    options.client_certificate = show == "required"   ? TlsClientCertificate::required
                                 : show == "optional" ? TlsClientCertificate::optional
                                                      : TlsClientCertificate::none;
    options.client_ca = t.text("client_ca");
    if (show != "none" && options.client_ca.empty())
        t.problems().error(t.mark("client_certificate"),
                           "client certificates need client_ca: who may issue them");
    options.session_lifetime_s = static_cast<uint32_t>(t.duration("session_lifetime").as_seconds());
    options.resume_wait = t.duration("resume_wait");
    options.resumption = TlsResumption::mixed;
    for (const Section& c : s.children("certificate")) {
        TlsCertificateFiles files{c.text("chain"), c.text("key"), {}};
        for (const auto& [name, mark] : c.texts("names")) files.names.push_back(name);
        options.certificates.push_back(std::move(files));
    }
    if (service.mode == Mode::tls && options.certificates.empty())
        s.problems().error(s.mark("mode"), fmt::format("service \"{}\" terminates TLS, but has no "
                                                       "[[service.certificate]]",
                                                       service.name));
    if (service.mode != Mode::tls && !options.certificates.empty())
        s.problems().error(s.mark("mode"), fmt::format("service \"{}\" has a certificate, but its "
                                                       "mode is not tls",
                                                       service.name));
    return options;
}

Service bind_service(const Section& s, const Config& config, AddressBook& book) {
    Service service;
    const size_t before = s.problems().errors();
    service.name = s.text("name");
    service.group = {static_cast<uint8_t>(s.integer("group"))};
    service.port = static_cast<uint16_t>(s.integer("port"));
    const std::string commit = s.text("commit");
    service.commit = commit == "none" ? Commit::none : commit == "any" ? Commit::any : Commit::all;
    service.nudge = s.flag("nudge");
    const std::string mode = s.text("mode");
    service.mode = mode == "tls" ? Mode::tls : mode == "proxy" ? Mode::proxy : Mode::forward;
    if (service.mode == Mode::tls && service.commit != Commit::all)
        s.problems().error(s.mark("commit"),
                           "mode = tls needs commit = all: a record number that one owner alone "
                           "knew would end the session with it");
    if (s.text("proxy_protocol") == "v2") service.proxy_protocol = ProxyProtocol::v2;
    if (service.proxy_protocol != ProxyProtocol::off && !service.terminates_tcp())
        s.problems().error(s.mark("proxy_protocol"),
                           "a PROXY header needs mode = proxy or tls: nothing can be put into the "
                           "stream of a connection that is only forwarded");
    if (s.text("durability") == "payload") service.durability = Durability::payload;
    if (service.durability != Durability::state && !service.terminates_tcp())
        s.problems().error(s.mark("durability"),
                           "durability = payload needs mode = proxy or tls: the octets of a "
                           "connection that is only forwarded are kept by its ends");
    service.max_lifetime = s.duration("max_lifetime");
    if (service.max_lifetime > Duration{} && !service.terminates_tcp())
        s.problems().error(
            s.mark("max_lifetime"),
            "max_lifetime needs mode = proxy or tls: nobody can end a connection that "
            "is only forwarded in both ends' name");
    service.health = bind_health(s);
    service.idle = bind_idle(s);
    bind_addresses(s, service, book);
    bind_backends(s, service, book);
    // A list with a bad address is not complete: what it seems to lack would only mislead.
    if (s.problems().errors() == before && s.complete()) {
        check_families(s, service);
        check_pool_size(s, service, config.worker.count);
        check_health_source(s, service, config);
    }
    return service;
}

}  // namespace

void bind_services(const Section& root, Config& config, AddressBook& book) {
    for (const Section& s : root.children("service")) {
        Service service = bind_service(s, config, book);
        for (const Service& other : config.services)
            if (!service.name.empty() && other.name == service.name)
                s.problems().error(s.mark("name"),
                                   fmt::format("service \"{}\" is there twice", service.name));
        const bool known =
            std::ranges::find(config.groups, service.group, &Group::id) != config.groups.end();
        if (service.group.value != 0 && !known)
            s.problems().error(s.mark("group"), fmt::format("there is no [[group]] with id {}",
                                                            service.group.value));
        config.tls.push_back(bind_tls(s, service));
        config.services.push_back(std::move(service));
    }
}

}  // namespace holdfast
