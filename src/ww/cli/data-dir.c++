#include <ww/cli/data-dir.h>

#include <stdlib.h>
#include <ww/base/error.h>

namespace ww {

kj::String dataDir(const kj::Maybe<kj::String>& asked) {
  KJ_IF_MAYBE(path, asked) return kj::str(*path);
  auto xdg = getenv("XDG_DATA_HOME");
  if (xdg != nullptr && xdg[0] == '/') return kj::str(xdg, "/ww");
  auto home = getenv("HOME");
  if (home != nullptr && home[0] == '/') return kj::str(home, "/.local/share/ww");
  kj::throwFatalException(badInput("no home folder is known; name a folder with --data-dir"));
}

}  // namespace ww
