#include <ww/stem/quorum.h>

#include <algorithm>
#include <kj/debug.h>

namespace ww {
namespace {

template <typename T>
bool isSame(const kj::Maybe<T>& a, const kj::Maybe<T>& b) {
  KJ_IF_MAYBE(x, a) {
    KJ_IF_MAYBE(y, b) return *x == *y;
    return false;
  }
  return b == nullptr;
}

}  // namespace

bool Vote::operator==(const Vote& other) const {
  return chainId == other.chainId && block == other.block && isSame(head, other.head) &&
         isSame(anchor, other.anchor);
}

kj::Maybe<uint64_t> heightOf(kj::ArrayPtr<const uint64_t> finals, kj::uint quorum) {
  auto heights = heightsOf(finals, quorum);
  if (heights.size() == 0) return nullptr;
  return heights[0];
}

kj::Array<uint64_t> heightsOf(kj::ArrayPtr<const uint64_t> finals, kj::uint quorum) {
  kj::Vector<uint64_t> heights;
  auto sorted = kj::heapArray<uint64_t>(finals);
  std::sort(sorted.begin(), sorted.end(), [](uint64_t a, uint64_t b) { return a > b; });
  for (size_t i = quorum; quorum > 0 && i <= sorted.size() && i < 2 * quorum; i++) {
    if (heights.empty() || sorted[i - 1] < heights.back()) heights.add(sorted[i - 1]);
  }
  return heights.releaseAsArray();
}

namespace {

// The indices of the first two different votes that `quorum` of them are equal to.
struct Agreed {
  kj::Maybe<size_t> first, second;
};

Agreed findAgreed(kj::ArrayPtr<const kj::Maybe<Vote>> votes, kj::uint quorum) {
  Agreed agreed;
  for (size_t i = 0; i < votes.size(); i++) {
    KJ_IF_MAYBE(vote, votes[i]) {
      kj::uint same = 0;
      for (auto& other: votes) {
        KJ_IF_MAYBE(o, other) same += *o == *vote;
      }
      if (same < quorum) continue;
      KJ_IF_MAYBE(former, agreed.first) {
        if (KJ_ASSERT_NONNULL(votes[*former]) == *vote) continue;
        agreed.second = i;
        return agreed;
      }
      agreed.first = i;
    }
  }
  return agreed;
}

}  // namespace

kj::Maybe<size_t> agreedAmong(kj::ArrayPtr<const kj::Maybe<Vote>> votes, kj::uint quorum) {
  auto agreed = findAgreed(votes, quorum);
  if (agreed.second != nullptr) return nullptr;
  return agreed.first;
}

bool haveQuorumEach(kj::ArrayPtr<const kj::Maybe<Vote>> votes, kj::uint quorum) {
  return findAgreed(votes, quorum).second != nullptr;
}

}  // namespace ww
