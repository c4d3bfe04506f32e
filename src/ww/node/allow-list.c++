#include <ww/node/allow-list.h>

#include <errno.h>
#include <fcntl.h>
#include <kj/debug.h>
#include <kj/io.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/base/error.h>
#include <ww/base/text.h>
#include <ww/net/peer-id.h>

namespace ww {
namespace {

constexpr size_t MAX_FILE_BYTES = 1 << 20;
constexpr kj::uint MAX_LINKS = 40;  // as the kernel follows
constexpr kj::Duration FOLDER_AGAIN = 1 * kj::SECONDS;
constexpr kj::uint MAX_TOLD = 10;  // lines that are wrong, one by one
constexpr kj::StringPtr BOM = "\xEF\xBB\xBF"_kj;
constexpr kj::StringPtr NODE = ",node"_kj;

// The file's text, or why there is none.
kj::OneOf<kj::String, kj::Exception> readText(kj::StringPtr path) {
  auto none = [](kj::StringPtr why) { return badInput(why); };
  int raw = open(path.cStr(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (raw < 0) return none(strerror(errno));
  kj::AutoCloseFd file(raw);
  auto bytes = kj::heapArray<char>(MAX_FILE_BYTES + 1);
  size_t n = 0;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    n = kj::FdInputStream(file.get()).tryRead(bytes.begin(), bytes.size(), bytes.size());
  })) {
    return none("no plain file");
  }
  if (n > MAX_FILE_BYTES) return none(kj::str("larger than ", MAX_FILE_BYTES, " bytes"));
  return kj::heapString(bytes.begin(), n);
}

kj::String baseOf(kj::StringPtr name) {
  return kj::str(name.slice(name.findLast('/').map([](size_t at) { return at + 1; }).orDefault(0)));
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
      kj::throwFatalException(badInput(kj::str("--allow ", shorten(word), ": ", *problem)));
    }
    fixed.add(parsed.get<AllowedKey>());
  }
  read();
}

AllowList::Stamp AllowList::Stamp::of(kj::StringPtr path) {
  struct stat info;
  if (stat(path.cStr(), &info) < 0) return {};
  auto time = [](const timespec& at) { return uint64_t(at.tv_sec) * 1'000'000'000 + at.tv_nsec; };
  return {info.st_dev, info.st_ino, uint64_t(info.st_size), time(info.st_mtim),
          time(info.st_ctim)};
}

void AllowList::readLines(kj::StringPtr text, kj::Vector<AllowedKey>& to) {
  kj::ArrayPtr<const char> rest = text.startsWith(BOM) ? text.slice(BOM.size()) : text;
  kj::uint wrong = 0;
  for (kj::uint number = 1; rest.size() > 0; number++) {
    size_t end = 0;
    while (end < rest.size() && rest[end] != '\n') end++;
    auto line = trim(rest.slice(0, end));
    rest = rest.slice(kj::min(end + 1, rest.size()), rest.size());
    if (line.size() == 0 || line[0] == '#') continue;
    auto parsed = parseAllowedKey(line);
    KJ_IF_MAYBE(key, parsed.tryGet<AllowedKey>()) {
      to.add(*key);
    } else if (++wrong <= MAX_TOLD) {
      bool remark = line.findFirst('#') != nullptr;
      logger.log(LogLevel::ERROR, "a line of the allowed keys says nothing",
                 {{"file", kj::str(KJ_ASSERT_NONNULL(path))}, {"line", kj::str(number)},
                  {"cause", remark ? kj::str("a remark takes a line of its own")
                                   : kj::mv(parsed.get<kj::String>())}});
    }
  }
  if (wrong > MAX_TOLD) {
    logger.log(LogLevel::ERROR, "and more such lines",
               {{"file", kj::str(KJ_ASSERT_NONNULL(path))},
                {"count", kj::str(wrong - MAX_TOLD)}});
  }
}

void AllowList::read() {
  kj::Vector<AllowedKey> all;
  all.addAll(fixed);
  KJ_IF_MAYBE(name, path) {
    seen = Stamp::of(*name);  // before it is read, or what comes meanwhile is lost
    auto now = readText(*name);
    kj::Maybe<kj::String> text;
    KJ_IF_MAYBE(found, now.tryGet<kj::String>()) text = kj::mv(*found);
    bool same = (text == nullptr) == (lastText == nullptr);
    KJ_IF_MAYBE(t, text) same = same && *t == KJ_ASSERT_NONNULL(lastText);
    if (wasRead && same) return;
    wasRead = true;
    lastText = kj::mv(text);
    KJ_IF_MAYBE(t, lastText) {
      readLines(*t, all);
    } else {
      logger.log(LogLevel::WARNING, "the file of allowed keys cannot be read; it adds nobody",
                 {{"file", kj::str(*name)},
                  {"cause", kj::str(now.get<kj::Exception>().getDescription())}});
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
  names.clear();
  for (kj::uint hops = 0; hops < MAX_LINKS; hops++) {
    auto folder = folderOf(name);
    names.add(baseOf(name));
    if (inotify_add_watch(watch, folder.cStr(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                                    IN_CREATE | IN_DELETE | IN_MOVE_SELF |
                                                    IN_MODIFY) < 0) {
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

bool AllowList::isNamed(const inotify_event& event) const {
  if (event.len == 0) return true;  // a folder itself
  kj::StringPtr base = event.name;
  for (auto& name: names) {
    if (base == name) return true;
  }
  return false;
}

// Is the file complete, as far as this event tells? One that somebody is writing is left alone: a
// part of it would revoke those in the rest.
bool AllowList::isDone(const inotify_event& event) const {
  if (!isNamed(event) || event.mask == IN_MODIFY) return false;
  struct stat info;
  bool begun = (event.mask & IN_CREATE) != 0 &&
               lstat(KJ_ASSERT_NONNULL(path).cStr(), &info) == 0 && S_ISREG(info.st_mode) &&
               info.st_nlink == 1;  // by another name it was complete already
  return !begun;
}

// Until there is something to read again. What no event tells is looked for: what happens to the
// folders above, or to the file by another name, or what changes it without a close.
kj::Promise<void> AllowList::change(kj::AsyncInputStream& changes, kj::Timer& timer) {
  alignas(inotify_event) char events[4096];
  auto next = timer.now() + LOOK;
  auto last = seen;
  bool isOpen = false;  // for writing, it seems
  for (kj::uint looks = 0;;) {
    auto size = co_await changes.tryRead(events, 1, sizeof(events)).exclusiveJoin(
        timer.atTime(next).then([]() { return size_t(0); }));
    bool done = false;
    for (size_t at = 0; at < size;) {
      auto& event = *reinterpret_cast<const inotify_event*>(events + at);
      done |= isDone(event);
      isOpen |= isNamed(event) && (event.mask & IN_MODIFY) != 0;
      at += sizeof(event) + event.len;
    }
    if (done) co_return;
    if (timer.now() < next) continue;
    next = timer.now() + LOOK;
    auto now = Stamp::of(KJ_ASSERT_NONNULL(path));
    looks = now == seen ? 0 : looks + 1;
    bool isQuiet = now == last && looks > 1 && !isOpen;
    last = now;
    if (isQuiet || looks >= PATIENCE) co_return;
  }
}

// Where the system tells of no changes at all: too many look for them already.
kj::Promise<void> AllowList::lookOnly(kj::Timer& timer) {
  logger.log(LogLevel::WARNING, "changes of the allowed keys take a while to be seen",
             {{"cause", kj::str("inotify: ", strerror(errno))}});
  for (;;) {
    read();
    co_await timer.afterDelay(LOOK);
  }
}

kj::Promise<void> AllowList::follow(kj::LowLevelAsyncIoProvider& io, kj::Timer& timer) {
  if (path == nullptr) co_return co_await kj::Promise<void>(kj::NEVER_DONE);
  int raw = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (raw < 0) co_return co_await lookOnly(timer);
  kj::AutoCloseFd watch(raw);
  int number = watch.get();
  auto changes = io.wrapInputFd(kj::mv(watch), kj::LowLevelAsyncIoProvider::ALREADY_CLOEXEC |
                                                   kj::LowLevelAsyncIoProvider::ALREADY_NONBLOCK);
  for (;;) {
    while (!watchPath(number)) {  // its folder is not there: nothing tells when it is
      read();
      co_await timer.afterDelay(FOLDER_AGAIN);
    }
    read();  // what changed before it was watched
    co_await change(*changes, timer);
  }
}

}  // namespace ww
