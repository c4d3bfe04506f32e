#include <ww/node/image-file.h>

#include <fcntl.h>
#include <kj/test.h>
#include <sys/stat.h>
#include <unistd.h>
#include <ww/node/temp-folder.h>

namespace ww {
namespace {

kj::String read(kj::StringPtr path) {
  auto image = readImage(path);
  KJ_IF_MAYBE(none, image.tryGet<NoImage>()) return kj::str("no: ", none->problem);
  return kj::str("bytes: ", image.get<kj::Array<kj::byte>>().asChars());
}

KJ_TEST("a folder with main.wasm, or a file") {
  TempFolder folder;
  folder.write("image/main.wasm", "wasm");
  folder.write("empty.wasm", "");
  KJ_EXPECT(read(folder.at("image")) == "bytes: wasm");
  KJ_EXPECT(read(folder.at("image/")) == "bytes: wasm");
  KJ_EXPECT(read(folder.at("image/main.wasm")) == "bytes: wasm");
  KJ_EXPECT(read(folder.at("empty.wasm")) == "bytes: ");
}

KJ_TEST("what is no image is named") {
  TempFolder folder;
  folder.write("nothing/other.wasm", "wasm");
  folder.write("odd/main.wasm/file", "x");
  KJ_EXPECT(read(folder.at("gone")) ==
            kj::str("no: ", folder.at("gone"),
                    ": no such file or folder (No such file or directory)"));
  KJ_EXPECT(read(folder.at("nothing")) ==
            kj::str("no: ", folder.at("nothing"), ": this folder is no image: it has neither "
                    "main.wasm nor bin/main.wasm"));
  KJ_EXPECT(read(folder.at("odd")) ==
            kj::str("no: ", folder.at("odd/main.wasm"), ": not a plain file"));
}

KJ_TEST("what is there and cannot be read is not said to be missing") {
  TempFolder folder;
  folder.write("image/bin/main.wasm", "wasm");
  KJ_SYSCALL(symlink("main.wasm", folder.at("image/main.wasm").cStr()));  // to itself
  KJ_EXPECT(read(folder.at("image")) ==
            kj::str("no: ", folder.at("image/main.wasm"),
                    ": cannot be read (Too many levels of symbolic links)"));
}

KJ_TEST("a FIFO keeps nobody waiting, and a huge file is refused unread") {
  TempFolder folder;
  KJ_SYSCALL(mkfifo(folder.at("fifo").cStr(), 0600));
  KJ_EXPECT(read(folder.at("fifo")) == kj::str("no: ", folder.at("fifo"), ": not a plain file"));
  folder.write("huge.wasm", "");
  KJ_SYSCALL(truncate(folder.at("huge.wasm").cStr(), off_t(1) << 40));
  KJ_EXPECT(read(folder.at("huge.wasm")).endsWith("bytes; the limit is 268435456"));
}

}  // namespace
}  // namespace ww
