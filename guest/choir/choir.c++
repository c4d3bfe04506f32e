// A pid0 that reads what it does from its image: etc/choir.conf names components of lib/, one a
// line with its arguments, which it runs one after the other. It ends with the first that fails.
//
// What it starts has none of these files: it is handed the component's bytes.
#include <errno.h>
#include <kj/debug.h>
#include <kj/vector.h>
#include <membrane.capnp.h>
#include <stdio.h>
#include <stem.capnp.h>
#include <string.h>
#include <ww/guest.h>

namespace {

using Membrane = ww::stem::Membrane<ww::membrane::WetwareSession>;

constexpr kj::StringPtr SCORE = "/etc/choir.conf"_kj;
constexpr uint32_t READ_BYTES = 64 * 1024;

kj::Array<kj::byte> readFile(kj::StringPtr path) {
  FILE* file = fopen(path.cStr(), "rb");
  if (file == nullptr) KJ_FAIL_REQUIRE("cannot read a file of the image", path, strerror(errno));
  KJ_DEFER(fclose(file));
  kj::Vector<kj::byte> bytes;
  kj::byte piece[16 * 1024];
  while (size_t n = fread(piece, 1, sizeof(piece), file)) bytes.addAll(kj::arrayPtr(piece, n));
  KJ_REQUIRE(!ferror(file), "cannot read all of a file of the image", path, strerror(errno));
  return bytes.releaseAsArray();
}

// Those of a line; none where it is empty or a remark.
kj::Vector<kj::String> wordsOf(kj::ArrayPtr<const char> line) {
  kj::Vector<kj::String> words;
  for (size_t i = 0; i < line.size();) {
    while (i < line.size() && line[i] == ' ') i++;
    auto begin = i;
    while (i < line.size() && line[i] != ' ') i++;
    if (i > begin) words.add(kj::heapString(line.slice(begin, i)));
  }
  if (words.size() > 0 && words[0].startsWith("#")) words.clear();
  return words;
}

kj::Vector<kj::Vector<kj::String>> readScore() {
  kj::Vector<kj::Vector<kj::String>> voices;
  auto text = readFile(SCORE);
  auto rest = text.asChars();
  while (rest.size() > 0) {
    size_t end = 0;
    while (end < rest.size() && rest[end] != '\n') end++;
    auto words = wordsOf(rest.slice(0, end));
    if (words.size() > 0) voices.add(kj::mv(words));
    rest = rest.slice(kj::min(end + 1, rest.size()), rest.size());
  }
  return voices;
}

kj::Promise<void> copyOut(ww::peer::ByteStream::Client from) {
  for (;;) {
    auto request = from.readRequest();
    request.setMaxBytes(READ_BYTES);
    auto response = co_await request.send();
    if (response.getData().size() == 0) co_return;
    ww::print(kj::heapString(response.getData().asChars()));
  }
}

kj::Promise<int> sing(ww::peer::Executor::Client executor, kj::ArrayPtr<const kj::String> words) {
  auto wasm = readFile(kj::str("/lib/", words[0], ".wasm"));
  auto request = executor.runBytesRequest(capnp::MessageSize{wasm.size() / 8 + 64, 0});
  request.setWasm(wasm);
  auto args = request.initArgs(words.size() - 1);
  for (kj::uint i = 1; i < words.size(); i++) args.set(i - 1, words[i]);
  auto process = request.send().getProcess();
  auto output = copyOut(process.stdoutRequest().send().getStream());
  auto ended = co_await process.waitRequest().send();
  co_await output;
  co_return ended.getExitCode();
}

}  // namespace

WW_GUEST_MAIN(guest) {
  auto graft = co_await guest.bootstrap<Membrane>().graftRequest().send();
  auto executor = graft.getSession().getExtension().getExecutor();
  for (auto& words: readScore()) {
    auto code = co_await sing(executor, words);
    ww::print(kj::str("choir: ", words[0], " exited with ", code, "\n"));
    if (code != 0) {
      guest.exitWith(code);
      co_return;
    }
  }
}
