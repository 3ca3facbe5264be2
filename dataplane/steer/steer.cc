#include "dataplane/steer/steer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <net/if.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "dataplane/steer/steer_abi.h"
#include "dataplane/steer/steer_object.h"

namespace holdfast {
namespace {

static_assert(std::size(kSteerCounters) == STEER_COUNTERS);

using Failure = std::unexpected<std::string>;

Failure failure(std::string_view interface, std::string_view what, int code) {
    return Failure(fmt::format("steering on {}: {}: {}", interface, what, std::strerror(code)));
}

// A descriptor of the XDP program on the interface; -1 when there is none.
std::expected<int, std::string> attached_program(const std::string& interface) {
    int index = static_cast<int>(if_nametoindex(interface.c_str()));
    if (index == 0) return failure(interface, "no such interface", errno);
    uint32_t id = 0;
    if (int e = bpf_xdp_query_id(index, 0, &id); e != 0)
        return failure(interface, "cannot ask for its XDP program", -e);
    if (id == 0) return -1;
    int fd = bpf_prog_get_fd_by_id(id);
    if (fd < 0) return failure(interface, "cannot open its XDP program", errno);
    return fd;
}

std::expected<bpf_prog_info, std::string> info_of(int program, std::span<uint32_t> map_ids) {
    bpf_prog_info info{};
    uint32_t size = sizeof info;
    info.nr_map_ids = static_cast<uint32_t>(map_ids.size());
    info.map_ids = reinterpret_cast<uint64_t>(map_ids.data());
    if (bpf_obj_get_info_by_fd(program, &info, &size) != 0)
        return Failure(fmt::format("cannot read a BPF program: {}", std::strerror(errno)));
    return info;
}

struct Descriptor {
    int fd;
    ~Descriptor() {
        if (fd >= 0) close(fd);
    }
};

std::string map_name(int fd) {
    bpf_map_info info{};
    uint32_t size = sizeof info;
    return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 ? info.name : "";
}

}  // namespace

SteerProgram::SteerProgram(int fd) : fd_(fd), path_(fmt::format("/proc/self/fd/{}", fd)) {}
SteerProgram::SteerProgram(SteerProgram&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
SteerProgram::~SteerProgram() {
    if (fd_ >= 0) close(fd_);
}

std::expected<SteerProgram, std::string> SteerProgram::create() {
    size_t size = 0;
    const void* object = holdfast_steer_object(&size);
    int fd = memfd_create("holdfast-steer", MFD_CLOEXEC);
    if (fd < 0) return Failure(fmt::format("memfd_create: {}", std::strerror(errno)));
    SteerProgram program(fd);
    if (write(fd, object, size) != static_cast<ssize_t>(size))
        return Failure(fmt::format("memfd: {}", std::strerror(errno)));
    return program;
}

std::optional<std::string> af_xdp_interface(std::string_view devargs) {
    if (!devargs.starts_with("net_af_xdp")) return std::nullopt;
    constexpr std::string_view kKey = ",iface=";
    size_t at = devargs.find(kKey);
    if (at == std::string_view::npos) return std::nullopt;
    std::string_view name = devargs.substr(at + kKey.size());
    return std::string(name.substr(0, name.find(',')));
}

std::expected<bool, std::string> detach_leftover(const std::string& interface) {
    auto found = attached_program(interface);
    if (!found) return Failure(found.error());
    if (*found < 0) return false;
    Descriptor program{*found};
    auto info = info_of(program.fd, {});
    if (!info) return Failure(info.error());
    if (std::string_view(info->name) != STEER_PROGRAM_NAME)
        return Failure(
            fmt::format("steering on {}: it carries another XDP program, \"{}\"; detach that first "
                        "(ip link set {} xdp off)",
                        interface, info->name, interface));
    if (int e = bpf_xdp_detach(static_cast<int>(if_nametoindex(interface.c_str())), 0, nullptr);
        e != 0)
        return failure(interface, "cannot detach what an earlier run left", -e);
    return true;
}

std::expected<std::unique_ptr<Steer>, std::string> Steer::find(const std::string& interface) {
    auto found = attached_program(interface);
    if (!found) return Failure(found.error());
    if (*found < 0) return Failure(fmt::format("steering on {}: no XDP program", interface));
    Descriptor program{*found};
    std::array<uint32_t, 16> ids{};
    auto info = info_of(program.fd, ids);
    if (!info) return Failure(info.error());
    std::unique_ptr<Steer> steer(new Steer());
    steer->interface_ = interface;
    const std::pair<std::string_view, int*> wanted[] = {{"steer_v4", &steer->v4_},
                                                        {"steer_v6", &steer->v6_},
                                                        {"steer_ring", &steer->ring_},
                                                        {"steer_counters", &steer->counters_}};
    for (uint32_t i = 0; i < std::min<uint32_t>(info->nr_map_ids, ids.size()); ++i) {
        Descriptor map{bpf_map_get_fd_by_id(ids[i])};
        std::string name = map_name(map.fd);
        for (auto [known, slot] : wanted)
            if (name == known) *slot = std::exchange(map.fd, -1);
    }
    for (auto [known, slot] : wanted)
        if (*slot < 0)
            return Failure(fmt::format("steering on {}: program \"{}\" has no map {}", interface,
                                       info->name, known));
    return steer;
}

Steer::~Steer() {
    for (int fd : {v4_, v6_, ring_, counters_})
        if (fd >= 0) close(fd);
}

std::expected<void, std::string> Steer::take(const IpAddress& a) {
    uint8_t on = 1;
    int e = a.is_v4() ? bpf_map_update_elem(v4_, a.bytes.data() + 12, &on, BPF_ANY)
                      : bpf_map_update_elem(v6_, a.bytes.data(), &on, BPF_ANY);
    if (e != 0) return failure(interface_, "cannot add " + to_string(a), errno);
    return {};
}

std::expected<void, std::string> Steer::give_back(const IpAddress& a) {
    int e = a.is_v4() ? bpf_map_delete_elem(v4_, a.bytes.data() + 12)
                      : bpf_map_delete_elem(v6_, a.bytes.data());
    if (e != 0 && errno != ENOENT)
        return failure(interface_, "cannot remove " + to_string(a), errno);
    return {};
}

std::expected<void, std::string> Steer::take_ring(const IpAddress& group, uint16_t first_port,
                                                  uint16_t last_port) {
    uint32_t zero = 0;
    steer_ring ring{};
    if (group.is_v4())
        std::memcpy(ring.group_v4, group.bytes.data() + 12, 4);
    else
        std::memcpy(ring.group_v6, group.bytes.data(), 16);
    ring.first_port = first_port;
    ring.last_port = last_port;
    if (bpf_map_update_elem(ring_, &zero, &ring, BPF_ANY) != 0)
        return failure(interface_, "cannot set the ring's group", errno);
    return {};
}

SteerCounters Steer::counters() const {
    SteerCounters sum;
    std::vector<uint64_t> per_cpu(static_cast<size_t>(std::max(1, libbpf_num_possible_cpus())));
    for (uint32_t i = 0; i < STEER_COUNTERS; ++i) {
        if (bpf_map_lookup_elem(counters_, &i, per_cpu.data()) != 0) continue;
        for (uint64_t n : per_cpu) sum.*kSteerCounters[i].member += n;
    }
    return sum;
}

}  // namespace holdfast
