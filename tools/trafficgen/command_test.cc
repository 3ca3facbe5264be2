#include "tools/trafficgen/command.h"

#include <gtest/gtest.h>

namespace holdfast::gen {
namespace {

Verb verb(std::string_view line) {
    const auto c = parse_command(line);
    EXPECT_TRUE(c) << line << ": " << (c ? "" : c.error());
    return c ? c->verb : Verb::nothing;
}
std::string error(std::string_view line) {
    const auto c = parse_command(line);
    return c ? "understood" : c.error();
}

TEST(CommandTest, WhatTestpmdHasIsUnderstood) {
    EXPECT_EQ(verb("start"), Verb::start);
    EXPECT_EQ(verb("  stop  "), Verb::stop);
    EXPECT_EQ(verb("show port stats all"), Verb::show_port_stats);
    EXPECT_EQ(verb("show port xstats all"), Verb::show_port_xstats);
    EXPECT_EQ(verb("clear port stats all"), Verb::clear);
    EXPECT_EQ(verb("quit"), Verb::quit);
    EXPECT_EQ(verb("help"), Verb::help);
}

TEST(CommandTest, OursTakeTheirArguments) {
    EXPECT_EQ(parse_command("set rate 12500.5")->number, 12'500.5);
    EXPECT_EQ(parse_command("set profile verify")->word, "verify");
    const auto sessions = parse_command("set sessions 1000000");
    EXPECT_EQ(sessions->verb, Verb::set_number);
    EXPECT_EQ(sessions->word, "sessions");
    EXPECT_EQ(sessions->number, 1e6);
    const auto wait = parse_command("wait drained 5 # seconds");
    EXPECT_EQ(wait->verb, Verb::wait);
    EXPECT_EQ(wait->word, "drained");
    EXPECT_EQ(verb(""), Verb::nothing);
    EXPECT_EQ(verb("# nothing"), Verb::nothing);
    EXPECT_EQ(parse_command("set attack syn=10,rst=2.5")->attack.rst, 2.5);
    EXPECT_FALSE(parse_command("set attack off")->attack.any());
}

TEST(CommandTest, WhatIsNotUnderstoodSaysWhatThereIs) {
    EXPECT_EQ(error("begin"), "no command 'begin'; help lists all");
    EXPECT_EQ(error("set rate fast"),
              "'set rate fast' is not understood; there is: set rate N, set WORD N");
    EXPECT_EQ(error("set rate -1"),
              "'set rate -1' is not understood; there is: set rate N, set WORD N");
    EXPECT_EQ(
        error("show"),
        "'show' is not understood; there is: show stats, show failover, show config, show json, "
        "show port stats all, show port xstats all");
    EXPECT_EQ(error("start now"), "'start now' is not understood; there is: start");
    EXPECT_EQ(error("set attack flood=3"),
              "'flood=3' is not SORT=FRAMES with a sort of syn, flags, rst, ack, fragments");
    EXPECT_EQ(error("set attack syn"),
              "'syn' is not SORT=FRAMES with a sort of syn, flags, rst, ack, fragments");
}

TEST(CommandTest, NumbersHaveRanges) {
    Profile p;
    EXPECT_TRUE(set_number(p, "request", 200));
    EXPECT_EQ(p.classes[0].request, 200u);
    EXPECT_EQ(set_number(p, "request", 5).error(), "request is from 6 to 1073741824");
    EXPECT_EQ(set_number(p, "sessions", 0).error(), "sessions is from 1 to 8388608");
    EXPECT_EQ(set_number(p, "colour", 1).error(),
              "no 'colour' to set; there is: sessions rate open-rate half-open requests request "
              "response close");
}

}  // namespace
}  // namespace holdfast::gen
