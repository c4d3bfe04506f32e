#include <ww/cli/line-editor.h>

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <kj/debug.h>
#include <kj/mutex.h>
#include <kj/thread.h>
#include <langinfo.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>
#include <wctype.h>
#include <ww/base/signals.h>

namespace ww {
namespace {

constexpr size_t KEYS_AT_A_TIME = 1024;
constexpr size_t MAX_WAITING_BYTES = 64 * 1024;  // of lines that nobody took yet
constexpr size_t MAX_PROMPT_BYTES = 256;
constexpr size_t TAB = 8;

void requireUtf8() {
  setlocale(LC_CTYPE, "");
  if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0) setlocale(LC_CTYPE, "C.UTF-8");
}

// Bytes as they come, to characters; what is none is dropped.
class Decoder {
 public:
  template <typename Take>
  void decode(kj::ArrayPtr<const char> bytes, Take&& take) {
    while (bytes.size() > 0) {
      wchar_t c;
      auto n = mbrtowc(&c, bytes.begin(), bytes.size(), &state);
      if (n == size_t(-2)) return;  // the rest of it follows
      if (n == size_t(-1)) {
        state = {};
        n = 1;
      } else {
        take(c);
        if (n == 0) n = 1;
      }
      bytes = bytes.slice(n, bytes.size());
    }
  }

 private:
  mbstate_t state{};
};

kj::String encode(const std::wstring& text) {
  kj::Vector<char> bytes;
  char piece[MB_LEN_MAX];
  for (wchar_t c: text) {
    mbstate_t state{};
    auto n = wcrtomb(piece, c, &state);
    if (n != size_t(-1)) bytes.addAll(piece, piece + n);
  }
  return kj::heapString(bytes.begin(), bytes.size());
}

std::wstring decode(kj::ArrayPtr<const char> bytes) {
  std::wstring text;
  Decoder().decode(bytes, [&](wchar_t c) { text += c; });
  return text;
}

// Where the cursor is after it, in columns from where `column` 0 began; as libedit shows it.
size_t columnAfter(size_t column, const wchar_t* text, const wchar_t* end) {
  for (; text < end; text++) {
    if (*text == L'\t') column += TAB - column % TAB;
    else if (iswcntrl(*text)) column += 2;  // ^X
    else column += kj::max(0, wcwidth(*text));
  }
  return column;
}

void writeAll(int fd, kj::ArrayPtr<const char> text) {
  while (text.size() > 0) {
    auto n = write(fd, text.begin(), text.size());
    if (n < 0 && errno == EAGAIN) {
      pollfd room{fd, POLLOUT, 0};
      poll(&room, 1, -1);
    } else if (n < 0 && errno != EINTR) {
      KJ_FAIL_SYSCALL("write", errno, "the terminal");
    } else if (n > 0) {
      text = text.slice(n, text.size());
    }
  }
}

FILE* openTerminal(int fd, const char* mode) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  KJ_SYSCALL(copy);
  auto file = fdopen(copy, mode);
  KJ_ASSERT(file != nullptr);
  return file;
}

// libedit on its thread. All functions are the loop's; between their calls the thread stands.
class Libedit {
 public:
  explicit Libedit(const std::wstring& prompt)
      : prompt(prompt), in(openTerminal(STDIN_FILENO, "r")),
        out(openTerminal(STDOUT_FILENO, "w")), raw(el_init("ww", in, out, out)) {
    KJ_ASSERT(raw != nullptr, "libedit cannot use this terminal");
    history_w(history, &event, H_SETSIZE, int(LineHistory::MAX_LINES));
    history_w(history, &event, H_SETUNIQUE, 1);
    el_wset(raw, EL_CLIENTDATA, this);
    el_wset(raw, EL_EDITOR, L"emacs");
    el_wset(raw, EL_BIND, L"^R", L"em-inc-search-prev", nullptr);
    el_wset(raw, EL_SIGNAL, 0);
    el_wset(raw, EL_PROMPT, &promptOf);
    el_wset(raw, EL_HIST, history_w, history);
    el_wset(raw, EL_GETCFN, &nextKey);
    auto before = blockSignals();
    thread = kj::heap<kj::Thread>([this]() { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  ~Libedit() noexcept(false) {
    resume(nullptr);
    thread = nullptr;
    el_end(raw);  // the terminal is as it was
    history_wend(history);
    fclose(out);
    fclose(in);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Libedit);

  // Begins a line. True: it wants a key.
  bool begin() { return resume(L'\0'); }

  // Goes on with a key. False: the line is done, and there is a result.
  bool type(wchar_t key) { return resume(key); }

  // The line; nothing at the end of the input.
  kj::Maybe<std::wstring> takeLine() { return kj::mv(line); }

  void remember(const std::wstring& text) { history_w(history, &event, H_ENTER, text.c_str()); }

  void redraw() { el_wset(raw, EL_REFRESH); }
  void regainTerminal() {
    el_wset(raw, EL_PREP_TERM, 0);
    el_wset(raw, EL_PREP_TERM, 1);
    el_resize(raw);
  }

  // Is there nothing to be seen of it, not even a prompt?
  bool isBlank() {
    auto text = el_wline(raw);
    return prompt.size() == 0 && text->lastchar == text->buffer;
  }

  // Rows from where the prompt begins to where the cursor is.
  size_t rowOfCursor() {
    winsize size{};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    auto text = el_wline(raw);
    auto column = columnAfter(0, prompt.data(), prompt.data() + prompt.size());
    return columnAfter(column, text->buffer, text->cursor) / (size.ws_col == 0 ? 80 : size.ws_col);
  }

 private:
  const std::wstring& prompt;
  FILE* const in;
  FILE* const out;
  EditLine* const raw;
  HistoryW* const history = history_winit();
  HistEventW event;
  kj::Maybe<std::wstring> line;

  struct Turn {
    bool ofEditor = false;
    bool wantsKey = false;
    kj::Maybe<wchar_t> key;  // none: the end of all
  };
  kj::MutexGuarded<Turn> turn;
  kj::Own<kj::Thread> thread;

  // Returns whether it wants a key.
  bool resume(kj::Maybe<wchar_t> key) {
    {
      auto lock = turn.lockExclusive();
      lock->key = key;
      lock->ofEditor = true;
    }
    return turn.when([](const Turn& t) { return !t.ofEditor; }, [](Turn& t) { return t.wantsKey; });
  }

  kj::Maybe<wchar_t> await() {
    return turn.when([](const Turn& t) { return t.ofEditor; }, [](Turn& t) { return t.key; });
  }
  void yield(bool wantsKey) {
    auto lock = turn.lockExclusive();
    lock->wantsKey = wantsKey;
    lock->ofEditor = false;
  }

  void run() {
    while (await() != nullptr) {
      int count = 0;
      auto text = el_wgets(raw, &count);
      line = nullptr;
      if (text != nullptr && count > 0) line = std::wstring(text, count);
      if (ending) break;
      yield(false);
    }
    yield(false);
  }

  static Libedit& of(EditLine* raw) {
    void* self;
    el_wget(raw, EL_CLIENTDATA, &self);
    return *static_cast<Libedit*>(self);
  }
  static wchar_t* promptOf(EditLine* raw) { return const_cast<wchar_t*>(of(raw).prompt.c_str()); }

  // The end stays one, however often it is asked for: the thread is left to run() then.
  static int nextKey(EditLine* raw, wchar_t* key) {
    auto& self = of(raw);
    if (!self.ending) {
      self.yield(true);
      KJ_IF_MAYBE(next, self.await()) {
        *key = *next;
        return 1;
      }
      self.ending = true;
    }
    return 0;
  }
  bool ending = false;  // of the thread
};

}  // namespace

class LineEditor::Impl {
 public:
  Impl(kj::AsyncIoContext& io, kj::Maybe<LineHistory> past, Logger& logger)
      : logger(logger), history(kj::mv(past)), terminal(openStdin(*io.lowLevelProvider)),
        libedit(prompt) {
    KJ_IF_MAYBE(h, history) {
      for (auto& line: h->getLines()) libedit.remember(decode(line.asArray()));
    }
    editing = libedit.begin();
    if (!editing) ended = true;
    keys = readKeys().eagerlyEvaluate([this](kj::Exception&&) { endInput(); });
    signals = followSignals(io.unixEventPort, SIGCONT).exclusiveJoin(
        followSignals(io.unixEventPort, SIGWINCH)).eagerlyEvaluate(nullptr);
  }
  ~Impl() noexcept(false) {
    // What comes next on the terminal is not ours.
    if (editing && !libedit.isBlank()) {
      kj::runCatchingExceptions([]() { writeAll(STDOUT_FILENO, "\n"_kj.asArray()); });
    }
  }
  KJ_DISALLOW_COPY_AND_MOVE(Impl);

  void show(kj::ArrayPtr<const char> text) {
    if (!editing) return writeAll(STDOUT_FILENO, text);
    kj::Vector<char> screen;
    erase(screen);
    auto start = screen.size();
    screen.addAll(partial);
    screen.addAll(text);
    auto last = screen.size();  // where the last line begins
    while (last > start && screen[last - 1] != '\n') --last;
    if (screen.size() - last > MAX_PROMPT_BYTES) {
      screen.add('\n');  // here alone, where so long a line is wrapped anyway
      last = screen.size();
    }
    partial.clear();
    partial.addAll(screen.slice(last, screen.size()));
    setPrompt();
    writeAll(STDOUT_FILENO, screen.slice(0, last));
    libedit.redraw();
  }

  kj::Promise<size_t> read(kj::byte* buffer, size_t size) {
    while (waiting.size() == 0 && !ended) {
      auto paf = kj::newPromiseAndFulfiller<void>();
      onLine = kj::mv(paf.fulfiller);
      co_await paf.promise;
    }
    auto n = kj::min(size, waiting.size());
    memcpy(buffer, waiting.begin(), n);
    kj::Vector<char> rest;
    rest.addAll(waiting.slice(n, waiting.size()));
    waiting = kj::mv(rest);
    if (waiting.size() < MAX_WAITING_BYTES) ring(onRoom);
    co_return n;
  }

 private:
  using Bell = kj::Own<kj::PromiseFulfiller<void>>;

  Logger& logger;
  kj::Maybe<LineHistory> history;
  kj::Own<kj::AsyncInputStream> terminal;
  std::wstring prompt;
  kj::Vector<char> partial;  // of a line that was written; the prompt is how it is shown
  Libedit libedit;
  bool editing = false;
  bool ended = false;
  kj::Vector<char> waiting;  // lines that nobody took yet
  Bell onLine, onRoom;
  kj::Promise<void> keys = nullptr;
  kj::Promise<void> signals = nullptr;

  static void ring(Bell& bell) {
    if (bell.get() != nullptr) bell->fulfill();
  }

  // From the cursor, which libedit left somewhere in the line.
  void erase(kj::Vector<char>& screen) {
    auto rows = libedit.rowOfCursor();
    if (rows > 0) screen.addAll(kj::str("\x1b[", rows, 'A'));
    screen.addAll("\r\x1b[J"_kj);
  }

  void setPrompt() {
    prompt.clear();
    for (wchar_t c: decode(partial)) {
      if (!iswcntrl(c)) prompt += c;
    }
  }

  kj::Promise<void> readKeys() {
    Decoder decoder;
    char buffer[KEYS_AT_A_TIME];
    while (!ended) {
      while (waiting.size() >= MAX_WAITING_BYTES) {
        auto paf = kj::newPromiseAndFulfiller<void>();
        onRoom = kj::mv(paf.fulfiller);
        co_await paf.promise;
      }
      auto n = co_await terminal->tryRead(buffer, 1, sizeof(buffer));
      if (n == 0) break;
      decoder.decode(kj::arrayPtr(buffer, n), [this](wchar_t key) { type(key); });
    }
    endInput();
  }

  void type(wchar_t key) {
    if (!editing || libedit.type(key)) return;
    KJ_IF_MAYBE(line, libedit.takeLine()) {
      takeLine(*line);
      partial.clear();
      prompt.clear();
      editing = libedit.begin();
    } else {
      endInput();
    }
  }

  void takeLine(const std::wstring& line) {
    auto text = encode(line);
    waiting.addAll(text);
    ring(onLine);
    if (text.endsWith("\n")) text = kj::str(text.slice(0, text.size() - 1));
    KJ_IF_MAYBE(h, history) {
      KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { h->add(text); })) {
        logger.log(LogLevel::WARNING, "what is typed is not kept any more",
                   {{"cause", kj::str(e->getDescription())}});
        history = nullptr;
      }
    }
    if (LineHistory::isWorthKeeping(text)) libedit.remember(line.substr(0, line.size() - 1));
  }

  void endInput() {
    if (editing) kj::runCatchingExceptions([]() { writeAll(STDOUT_FILENO, "\n"_kj.asArray()); });
    editing = false;
    ended = true;
    ring(onLine);
  }

  kj::Promise<void> followSignals(kj::UnixEventPort& port, int number) {
    for (;;) {
      co_await port.onSignal(number);
      if (!editing) continue;
      libedit.regainTerminal();
      show(nullptr);
    }
  }
};

class LineEditor::Input final: public kj::AsyncInputStream {
 public:
  explicit Input(Impl& impl): impl(impl) {}
  kj::Promise<size_t> tryRead(void* buffer, size_t minBytes, size_t maxBytes) override {
    KJ_REQUIRE(minBytes <= 1, "lines come as they come");
    return impl.read(static_cast<kj::byte*>(buffer), maxBytes);
  }

 private:
  Impl& impl;
};

class LineEditor::Output final: public kj::AsyncOutputStream {
 public:
  explicit Output(Impl& impl): impl(impl) {}
  kj::Promise<void> write(const void* buffer, size_t size) override {
    return kj::evalNow([&]() -> kj::Promise<void> {
      impl.show(kj::arrayPtr(static_cast<const char*>(buffer), size));
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> write(kj::ArrayPtr<const kj::ArrayPtr<const kj::byte>> pieces) override {
    return kj::evalNow([&]() -> kj::Promise<void> {
      for (auto piece: pieces) impl.show(piece.asChars());
      return kj::READY_NOW;
    });
  }
  kj::Promise<void> whenWriteDisconnected() override { return kj::NEVER_DONE; }

 private:
  Impl& impl;
};

void LineEditor::captureSignals() {
  kj::UnixEventPort::captureSignal(SIGCONT);
  kj::UnixEventPort::captureSignal(SIGWINCH);
}

bool LineEditor::isPossible() {
  struct stat in, out;
  auto name = getenv("TERM");
  return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && name != nullptr && name[0] != '\0' &&
         strcmp(name, "dumb") != 0 && fstat(STDIN_FILENO, &in) == 0 &&
         fstat(STDOUT_FILENO, &out) == 0 && in.st_rdev == out.st_rdev &&
         tcgetpgrp(STDIN_FILENO) == getpgrp();
}

LineEditor::LineEditor(kj::AsyncIoContext& io, kj::Maybe<LineHistory> history, Logger& logger) {
  requireUtf8();
  impl = kj::heap<Impl>(io, kj::mv(history), logger);
}

LineEditor::~LineEditor() noexcept(false) {}

StandardStreams LineEditor::makeStreams(kj::LowLevelAsyncIoProvider& io) {
  struct stat out, err;
  bool sameTerminal = isatty(STDERR_FILENO) && fstat(STDOUT_FILENO, &out) == 0 &&
                      fstat(STDERR_FILENO, &err) == 0 && out.st_rdev == err.st_rdev;
  auto errors = sameTerminal ? kj::Own<kj::AsyncOutputStream>(kj::heap<Output>(*impl))
                             : openStderr(io);
  return {kj::heap<Input>(*impl), kj::heap<Output>(*impl), kj::mv(errors)};
}

}  // namespace ww
