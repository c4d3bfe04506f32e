#include <ww/cli/image-commands.h>

#include <kj/debug.h>
#include <ww/base/quantity.h>
#include <ww/cli/common-options.h>
#include <ww/cli/network-options.h>
#include <ww/cli/source-options.h>

namespace ww {
namespace {

using What = ImageOptions::What;

constexpr const char* ABOUT_STORE =
    "The store is in the data folder, and may be asked while nodes run. An image is named by the\n"
    "name that it was given, or by its content id.\n\n";

constexpr const char* ABOUT_CODES = "Exit code: 125 it could not be done, 127 no such image.\n\n";

constexpr const char* ABOUT_ADD =
    "IMAGE is a folder with main.wasm (without, a layer for others), a .wasm file, a .car file,\n"
    "/ipfs/CID[/PATH], /ipns/NAME, or a content id. Its blocks are taken from the store where it\n"
    "has them, and else from the gateways and the IPFS node that are named, in that order, each\n"
    "checked as it comes. Prints the content id. It stays until `ww image rm`, or, with --no-pin,\n"
    "until room is needed.\n\n"
    "Exit code: 125 it could not be done, 127 no such image.\n\n"
    "Example:\n"
    "  ww image add ./my-image --name app\n"
    "  ww image add app.car\n"
    "  ww image add --gateway https://HOST /ipfs/bafybei...\n";

constexpr const char* ABOUT_GC =
    "What goes: blocks of no image, then whole images, the longest unused first; never one that\n"
    "is pinned, or that a node runs. `ww run` and `ww image add` do this by themselves, for room.\n"
    "\n"
    "Example:\n  ww image gc --to 4g\n";

constexpr const char* ABOUT_VERIFY =
    "Reads every block. One that is damaged is removed, and fetched again when it is needed.\n\n"
    "Exit code: 1 if any is damaged, or an image is not whole; 125 it could not be done.\n\n"
    "Example:\n  ww image verify -o json\n";

}  // namespace

struct ImageCommands::Command {
  What what;
  CLI::App* app;
  RawCommon common;
  RawSources sources;
  std::vector<std::string> images;
  std::string image, name, file, to = "0", output = "text";
  bool noPin = false;
};

ImageCommands::~ImageCommands() noexcept(false) {}

ImageCommands::Command& ImageCommands::add(CLI::App& parent, What what, const char* name,
                                           const char* about, const std::string& footer) {
  commands.push_back(std::make_unique<Command>());
  auto& command = *commands.back();
  command.what = what;
  command.app = parent.add_subcommand(name, about);
  command.app->footer(footer);
  addCommonOptions(*command.app, command.common);
  command.app->add_option("-o,--output", command.output, "How what it prints looks")
      ->type_name("FORMAT")->capture_default_str()->check(CLI::IsMember({"text", "json"}));
  return command;
}

ImageCommands::ImageCommands(CLI::App& app) {
  auto& parent = *app.add_subcommand("image", "The images that are kept here");
  parent.require_subcommand(1);
  parent.footer("Example:\n  ww image ls\n");
  auto takeImages = [](Command& command) {
    command.app->add_option("IMAGE", command.images, "Names or content ids, as `ww image ls` lists")
        ->required()->check(isNotEmpty);
  };
  auto example = [](const char* words) {
    return std::string(ABOUT_STORE) + ABOUT_CODES + "Example:\n  " + words + "\n";
  };
  add(parent, What::LS, "ls", "List them", std::string(ABOUT_STORE) +
                                               "Example:\n  ww image ls -o json\n");
  auto& adding = add(parent, What::ADD, "add", "Bring one into the store, and keep it", ABOUT_ADD);
  adding.app->add_option("IMAGE", adding.image, "What is brought")->required()
      ->check(isNotEmpty);
  adding.app->add_option("--name", adding.name, "A name for it; another that has it loses it")
      ->type_name("NAME")->check(isNotEmpty);
  adding.app->add_flag("--no-pin", adding.noPin, "Let it go once room is needed");
  addSourceOptions(*adding.app, adding.sources);
  addStoreSizeOption(*adding.app, adding.sources);
  takeImages(add(parent, What::RM, "rm", "Remove some, and what only they have",
                 example("ww image rm app")));
  auto& pinning = add(parent, What::PIN, "pin", "Keep some, whatever room is needed",
                      example("ww image pin --name app bafybei..."));
  takeImages(pinning);
  pinning.app->add_option("--name", pinning.name, "A name for it")->type_name("NAME")
      ->check(isNotEmpty);
  takeImages(add(parent, What::UNPIN, "unpin", "Let some go once room is needed",
                 example("ww image unpin app")));
  auto& collecting = add(parent, What::GC, "gc", "Remove what nothing keeps", ABOUT_GC);
  collecting.app->add_option("--to", collecting.to, "Stop once no more than that is left")
      ->type_name("SIZE")->capture_default_str()->check([](const std::string& word) {
        return parseSize(word.c_str()) != nullptr ? std::string()
                                                  : word + " is no size, such as 4g";
      });
  add(parent, What::VERIFY, "verify", "Check every block against its content id", ABOUT_VERIFY);
  auto& exporting = add(parent, What::EXPORT, "export", "Write one to a .car file",
                        example("ww image export app app.car\n"
                                "  ww image export app - | gzip > app.car.gz"));
  exporting.app->add_option("IMAGE", exporting.image, "Its name, or content id")->required()
      ->check(isNotEmpty);
  exporting.app->add_option("FILE", exporting.file,
                            "The file: one that is there is replaced, a pipe is written to; - too")
      ->required()->check(isNotEmpty);
}

kj::Maybe<ImageOptions> ImageCommands::findParsed() const {
  for (auto& command: commands) {
    if (!command->app->parsed()) continue;
    ImageOptions options;
    options.what = command->what;
    auto images = command->images;
    if (!command->image.empty()) images.push_back(command->image);
    options.images = strs(images);
    if (!command->name.empty()) options.name = str(command->name);
    options.pin = !command->noPin;
    options.toBytes = KJ_ASSERT_NONNULL(parseSize(command->to.c_str()));
    options.file = str(command->file);
    options.sources = makeSourceOptions(command->sources);
    options.storeBytes = storeBytesOf(command->sources);
    if (!command->common.dataDir.empty()) options.dataDir = str(command->common.dataDir);
    options.logLevel = str(command->common.logLevel);
    options.logFormat = str(command->common.logFormat);
    options.json = command->output == "json";
    return kj::mv(options);
  }
  return nullptr;
}

}  // namespace ww
