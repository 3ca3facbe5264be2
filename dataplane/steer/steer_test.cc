#include "dataplane/steer/steer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace holdfast {
namespace {

TEST(AfXdpInterface, FoundAmongDevargs) {
    EXPECT_EQ(af_xdp_interface("net_af_xdp0,iface=front"), "front");
    EXPECT_EQ(af_xdp_interface("net_af_xdp1,start_queue=1,iface=eth0,queue_count=2"), "eth0");
    EXPECT_FALSE(af_xdp_interface("net_af_packet0,iface=front"));
    EXPECT_FALSE(af_xdp_interface("net_af_xdp0"));
}

TEST(SteerProgram, IsAnElfObjectThatVanishes) {
    std::string path;
    {
        auto program = SteerProgram::create();
        ASSERT_TRUE(program) << program.error();
        path = program->path();
        std::ifstream file(path, std::ios::binary);
        char magic[4] = {};
        file.read(magic, 4);
        EXPECT_EQ(std::string_view(magic, 4),
                  "\x7f"
                  "ELF");
    }
    EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(Steer, NoSuchInterfaceIsASentence) {
    auto none = detach_leftover("holdfast-none");
    ASSERT_FALSE(none);
    EXPECT_NE(none.error().find("no such interface"), std::string::npos);
    EXPECT_FALSE(Steer::find("holdfast-none"));
}

}  // namespace
}  // namespace holdfast
