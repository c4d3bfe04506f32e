#include <ww/cli/source-options.h>

#include <kj/debug.h>
#include <ww/base/quantity.h>
#include <ww/cli/network-options.h>

namespace ww {
namespace {

constexpr const char* GROUP =
    "Images (from the command line, the store, peers, and these, in this order)";
constexpr uint64_t LEAST_STORE_BYTES = 16 << 20;

std::string checkWith(const SourceOptions& options) {
  std::string problem;
  KJ_IF_MAYBE(found, findProblem(options)) problem = found->cStr();
  auto end = problem.find(": ");  // of the option's name, which CLI11 says as well
  return end == problem.npos ? problem : problem.substr(end + 2);
}

}  // namespace

void addSourceOptions(CLI::App& command, RawSources& raw) {
  command.add_option("--gateway", raw.gateways,
                     "An HTTP gateway of IPFS that serves blocks; may be repeated. Nothing that\n"
                     "it says is believed")
      ->type_name("URL")->envname("WW_GATEWAY")->allow_extra_args(false)->group(GROUP)
      ->check([](const std::string& word) {
        SourceOptions options;
        options.gateways = kj::heapArray<kj::String>(1);
        options.gateways[0] = str(word);
        return checkWith(options);
      });
  command.add_option("--ipfs", raw.ipfs,
                     "The RPC of an IPFS node, Kubo's or one like it: a URL, or /ip4/IP/tcp/PORT")
      ->type_name("ADDRESS")->envname("IPFS_API")->group(GROUP)
      ->check([](const std::string& word) {
        SourceOptions options;
        options.ipfs = str(word);
        return checkWith(options);
      });
}

void addStoreSizeOption(CLI::App& command, RawSources& raw) {
  command.add_option("--store-size", raw.storeSize,
                     "How much is kept of images: beyond that the longest unused go")
      ->type_name("SIZE")->envname("WW_STORE_SIZE")->capture_default_str()->group(GROUP)
      ->check([](const std::string& word) {
        auto bytes = parseSize(word.c_str()).orDefault(0);
        return bytes >= LEAST_STORE_BYTES ? std::string()
            : word + " is no size from 16m on, such as 512m or 16g";
      });
}

SourceOptions makeSourceOptions(const RawSources& raw) {
  SourceOptions options;
  options.gateways = strs(raw.gateways);
  if (!raw.ipfs.empty()) options.ipfs = str(raw.ipfs);
  return options;
}

uint64_t storeBytesOf(const RawSources& raw) {
  return KJ_ASSERT_NONNULL(parseSize(raw.storeSize.c_str()));
}

}  // namespace ww
