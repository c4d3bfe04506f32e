#include <ww/cli/common-options.h>

#include <ww/cli/network-options.h>

namespace ww {

void addCommonOptions(CLI::App& command, RawCommon& raw) {
  command.add_option("--data-dir", raw.dataDir,
                     "Where the node's key and its caches are kept [~/.local/share/ww]")
      ->type_name("DIR")->check(isNotEmpty)
      ->envname("WW_DATA_DIR");
  command.add_option("--log-level", raw.logLevel, "What is worth a line on stderr")
      ->type_name("LEVEL")->envname("WW_LOG_LEVEL")->capture_default_str()
      ->check(CLI::IsMember({"trace", "debug", "info", "warning", "error"}));
  command.add_option("--log-format", raw.logFormat, "How such a line looks")
      ->type_name("FORMAT")->envname("WW_LOG_FORMAT")->capture_default_str()
      ->check(CLI::IsMember({"text", "json"}));
}

}  // namespace ww
