#include <ww/node/allow-list.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/net/peer-id.h>

namespace ww {
namespace {

constexpr size_t MAX_FILE_BYTES = 1 << 20;
constexpr kj::uint MAX_LINKS = 40;  // as the kernel follows
constexpr kj::StringPtr NODE = ",node"_kj;

// The file's text; nothing if there is none.
kj::Maybe<kj::String> readText(kj::StringPtr path) {
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (raw < 0) return nullptr;
  kj::AutoCloseFd file(raw);
  auto bytes = kj::heapArray<char>(MAX_FILE_BYTES);
  size_t n = 0;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    n = kj::FdInputStream(file.get()).tryRead(bytes.begin(), bytes.size(), bytes.size());
  })) {
    return nullptr;
  }
  return kj::heapString(bytes.begin(), n);
}

kj::String folderOf(kj::StringPtr name) {
  for (size_t i = name.size(); i > 0; i--) {
    if (name[i - 1] == '/') return i == 1 ? kj::str("/") : kj::str(name.slice(0, i - 1));
  }
  return kj::str(".");
}

kj::String trim(kj::ArrayPtr<const char> line) {
  auto isBlank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (line.size() > 0 && isBlank(line.front())) line = line.slice(1, line.size());
  while (line.size() > 0 && isBlank(line.back())) line = line.slice(0, line.size() - 1);
  return kj::heapString(line);
}

}  // namespace

kj::OneOf<AllowedKey, kj::String> parseAllowedKey(kj::StringPtr text) {
  bool node = text.endsWith(NODE);
  auto name = node ? kj::str(text.slice(0, text.size() - NODE.size())) : kj::str(text);
  KJ_IF_MAYBE(id, PeerId::parseText(name)) {
    KJ_IF_MAYBE(key, id->findKey()) {
      if (!isStrictKey(*key)) return kj::str("a key that no signature can be trusted under");
      return AllowedKey{*key, node};
    }
    return kj::str("a peer id of another kind than Ed25519");
  }
  return kj::str("no key: one is a peer id in base58, as `ww keygen` prints it, and may be "
                 "followed by ", NODE);
}

AllowList::AllowList(kj::ArrayPtr<const kj::String> words, kj::Maybe<kj::StringPtr> file,
                     AllowedKeys& keys, Logger& logger)
    : path(file.map([](kj::StringPtr name) { return kj::str(name); })), keys(keys),
      logger(logger) {
  for (auto& word: words) {
    auto parsed = parseAllowedKey(word);
    KJ_IF_MAYBE(problem, parsed.tryGet<kj::String>()) {
      kj::throwFatalException(badInput(kj::str("--allow ", word, ": ", *problem)));
    }
    fixed.add(parsed.get<AllowedKey>());
  }
  read();
}

void AllowList::read() {
  kj::Vector<AllowedKey> all;
  all.addAll(fixed);
  KJ_IF_MAYBE(name, path) {
    auto now = readText(*name);
    bool same = (now == nullptr) == (lastText == nullptr);
    KJ_IF_MAYBE(text, now) same = same && *text == KJ_ASSERT_NONNULL(lastText);
    if (wasRead && same) return;
    wasRead = true;
    lastText = kj::mv(now);
    KJ_IF_MAYBE(text, lastText) {
      kj::ArrayPtr<const char> rest = *text;
      for (kj::uint number = 1; rest.size() > 0; number++) {
        size_t end = 0;
        while (end < rest.size() && rest[end] != '\n') end++;
        auto line = trim(rest.slice(0, end));
        rest = rest.slice(kj::min(end + 1, rest.size()), rest.size());
        if (line.size() == 0 || line[0] == '#') continue;
        auto parsed = parseAllowedKey(line);
        KJ_IF_MAYBE(key, parsed.tryGet<AllowedKey>()) {
          all.add(*key);
        } else {
          logger.log(LogLevel::ERROR, "a line of the allowed keys says nothing",
                     {{"file", kj::str(*name)}, {"line", kj::str(number)},
                      {"cause", kj::mv(parsed.get<kj::String>())}});
        }
      }
    } else {
      logger.log(LogLevel::WARNING, "the file of allowed keys cannot be read; it adds nobody",
                 {{"file", kj::str(*name)}});
    }
    logger.log(LogLevel::INFO, "keys that may graft", {{"count", kj::str(all.size())}});
  }
  keys.set(all.releaseAsArray());
}

// Every folder that the file is found by, since editors put a new file in the old one's place, and
// links lead from one to the next. A folder that is watched already stays so. False: the first is
// not there.
bool AllowList::watchPath(int watch) {
  auto name = kj::str(KJ_ASSERT_NONNULL(path));
  for (kj::uint hops = 0; hops < MAX_LINKS; hops++) {
    auto folder = folderOf(name);
    if (inotify_add_watch(watch, folder.cStr(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                                    IN_CREATE | IN_DELETE | IN_MOVE_SELF) < 0) {
      return hops > 0;
    }
    char target[PATH_MAX];
    auto size = readlink(name.cStr(), target, sizeof(target));
    if (size <= 0) break;
    auto to = kj::heapString(target, size);
    name = to.startsWith("/") ? kj::mv(to) : kj::str(folder, '/', to);
  }
  return true;
}

kj::Promise<void> AllowList::follow(kj::LowLevelAsyncIoProvider& io) {
  if (path == nullptr) co_return co_await kj::Promise<void>(kj::NEVER_DONE);
  int raw = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  KJ_SYSCALL(raw);
  kj::AutoCloseFd watch(raw);
  int number = watch.get();
  KJ_REQUIRE(watchPath(number), "the folder of the allowed keys is not there",
             KJ_ASSERT_NONNULL(path));
  auto changes = io.wrapInputFd(kj::mv(watch), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                                                   kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
  read();  // what changed before it was watched
  for (;;) {
    alignas(inotify_event) char events[4096];
    co_await changes->tryRead(events, 1, sizeof(events));
    watchPath(number);  // a link may lead elsewhere now
    read();
  }
}

}  // namespace ww
