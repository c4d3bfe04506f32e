#include <ww/cli/templates.h>

namespace ww {
namespace {

constexpr char CPP_CMAKE[] = {
#embed "cpp/CMakeLists.txt"
    , 0};
constexpr char CPP_MAIN[] = {
#embed "cpp/main.c++"
    , 0};
constexpr char CPP_GREETING[] = {
#embed "cpp/greeting"
    , 0};
constexpr char CPP_README[] = {
#embed "cpp/README.md"
    , 0};
constexpr char CPP_IGNORE[] = {
#embed "cpp/gitignore"
    , 0};

constexpr char RUST_CARGO[] = {
#embed "rust/Cargo.toml"
    , 0};
constexpr char RUST_CONFIG[] = {
#embed "rust/cargo-config.toml"
    , 0};
constexpr char RUST_BUILD[] = {
#embed "rust/build.rs"
    , 0};
constexpr char RUST_MAIN[] = {
#embed "rust/main.rs"
    , 0};
constexpr char RUST_CELL[] = {
#embed "rust/cell.rs"
    , 0};
constexpr char RUST_CONNECTION[] = {
#embed "rust/connection.rs"
    , 0};
constexpr char RUST_WORLD[] = {
#embed "rust/wit/guest.wit"
    , 0};
constexpr char RUST_IO[] = {
#embed "rust/wit/deps/io.wit"
    , 0};
constexpr char RUST_STREAMS[] = {
#embed "rust/wit/deps/wetware-streams.wit"
    , 0};
constexpr char RUST_README[] = {
#embed "rust/README.md"
    , 0};
constexpr char RUST_IGNORE[] = {
#embed "rust/gitignore"
    , 0};

// A folder that git keeps although nothing is in it.
constexpr TemplateFile ETC{"etc/.gitkeep"_kj, ""_kj};
constexpr TemplateFile LIB{"lib/.gitkeep"_kj, ""_kj};

template <size_t n>
constexpr kj::StringPtr text(const char (&bytes)[n]) { return kj::StringPtr(bytes, n - 1); }

const TemplateFile CPP[] = {{"CMakeLists.txt"_kj, text(CPP_CMAKE)},
                            {"src/main.c++"_kj, text(CPP_MAIN)},
                            {"etc/greeting"_kj, text(CPP_GREETING)},
                            {"README.md"_kj, text(CPP_README)},
                            {".gitignore"_kj, text(CPP_IGNORE)},
                            LIB};

const TemplateFile RUST[] = {{"Cargo.toml"_kj, text(RUST_CARGO)},
                             {".cargo/config.toml"_kj, text(RUST_CONFIG)},
                             {"build.rs"_kj, text(RUST_BUILD)},
                             {"src/main.rs"_kj, text(RUST_MAIN)},
                             {"src/cell.rs"_kj, text(RUST_CELL)},
                             {"src/cell/connection.rs"_kj, text(RUST_CONNECTION)},
                             {"wit/guest.wit"_kj, text(RUST_WORLD)},
                             {"wit/deps/io.wit"_kj, text(RUST_IO)},
                             {"wit/deps/wetware-streams.wit"_kj, text(RUST_STREAMS)},
                             {"README.md"_kj, text(RUST_README)},
                             {".gitignore"_kj, text(RUST_IGNORE)},
                             ETC, LIB};

}  // namespace

kj::ArrayPtr<const TemplateFile> cppProject() { return CPP; }
kj::ArrayPtr<const TemplateFile> rustProject() { return RUST; }

}  // namespace ww
