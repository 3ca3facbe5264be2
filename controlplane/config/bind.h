// The parts of loading a configuration that turn sections into a Config and check them against
// each other. Only load.cc and the bind_*.cc files include this.
#pragma once

#include "controlplane/config/address_book.h"
#include "controlplane/config/config.h"
#include "controlplane/config/load.h"
#include "controlplane/config/section.h"

namespace holdfast {

// Each reads its tables from the root; the order of the calls in load.cc is the order of need.
void bind_cluster(const Section& root, const ReadSecret& read_secret, Config& config,
                  AddressBook& book);
void bind_ring(const Section& root, Config& config);
void bind_ports(const Section& root, Config& config, AddressBook& book);
void bind_workers(const Section& root, Config& config);
void bind_groups(const Section& root, Config& config);
void bind_services(const Section& root, Config& config, AddressBook& book);

}  // namespace holdfast
