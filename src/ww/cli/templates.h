#pragma once
// The projects that `ww init` lays down, from guest/templates, built in.

#include <kj/array.h>
#include <kj/string.h>

namespace ww {

struct TemplateFile {
  kj::StringPtr path;     // within the project
  kj::StringPtr content;  // with @NAME@ and @VERSION@ to be filled in
};

kj::ArrayPtr<const TemplateFile> cppProject();
kj::ArrayPtr<const TemplateFile> rustProject();

}  // namespace ww
