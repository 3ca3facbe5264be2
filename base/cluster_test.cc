#include "base/cluster.h"

#include <gtest/gtest.h>

#include "base/random.h"

using namespace holdfast;

TEST(NodeSet, IteratesAscending) {
    NodeSet s;
    s.add({31});
    s.add({0});
    s.add({7});
    EXPECT_EQ(to_string(s), "{0,7,31}");
    s.remove({7});
    EXPECT_EQ(s.size(), 2u);
    EXPECT_TRUE(s.contains(NodeSet::of({31})));
    EXPECT_FALSE(NodeSet::of({31}).contains(s));
}

TEST(Random, SameSeedSameNumbers) {
    Random a(42), b(42);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
    for (int i = 0; i < 1000; ++i) EXPECT_LT(a.below(7), 7u);
}
