"""Making an image: `ww init` and `ww build`, as a person types them and where they cannot work; and
the commands that a project's README shows."""
import json
import os
import re
import shutil
import subprocess
import unittest

from nodes import WW, NodeCase, ww

BUILD = os.environ["WW_BUILD"]
LIMIT_S = 600


class MakeCase(NodeCase):
    def init(self, name="hello", *flags):
        done = ww("init", self.path(name), *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.decode(), self.path(name) + "\n")
        return self.path(name)

    def build(self, project, *flags, **options):
        return subprocess.run([WW, "build", project, *flags], capture_output=True,
                              timeout=LIMIT_S, **options)

    def refused(self, done, *words):
        """That it failed with one line that has these words, and printed nothing."""
        said = done.stderr.decode()
        self.assertEqual((done.returncode, done.stdout), (125, b""), said)
        line = said.splitlines()[-1]
        for word in words:
            self.assertIn(word, line)


class InitTest(MakeCase):
    def test_it_lays_down_a_project_and_overwrites_nothing(self):
        project = self.init()
        made = sorted(os.path.relpath(os.path.join(folder, name), project)
                      for folder, _, names in os.walk(project) for name in names)
        self.assertEqual(made, [".gitignore", "CMakeLists.txt", "README.md", "etc/greeting",
                                "lib/.gitkeep", "src/main.c++"])
        for name in made:
            with open(os.path.join(project, name), encoding="utf-8") as file:
                self.assertNotRegex(file.read(), "@[A-Z]+@")
        with open(os.path.join(project, "README.md"), "w", encoding="utf-8") as file:
            file.write("mine")
        os.remove(os.path.join(project, "CMakeLists.txt"))
        self.refused(ww("init", project), "src/main.c++: this is there already")
        self.assertFalse(os.path.exists(os.path.join(project, "CMakeLists.txt")))
        with open(os.path.join(project, "README.md"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "mine")

    def test_it_takes_the_folder_that_one_is_in_and_what_is_in_it_stays(self):
        os.mkdir(self.path("mine"))
        with open(self.path("mine/notes"), "w", encoding="utf-8"):
            pass
        done = ww("init", "-o", "json", cwd=self.path("mine"))
        self.assertEqual(json.loads(done.stdout), {"project": self.path("mine"), "name": "mine"})
        self.assertIn("notes", os.listdir(self.path("mine")))

    def test_a_name_that_is_none_for_a_project_becomes_one(self):
        for name, called in (("2 of them!", "of-them-"), ("42", "guest"), ("ä", "guest")):
            done = ww("init", "-o", "json", self.path(name))
            self.assertEqual(json.loads(done.stdout)["name"], called)

    def test_where_no_folder_can_be_made(self):
        with open(self.path("file"), "w", encoding="utf-8"):
            pass
        self.refused(ww("init", self.path("file")), self.path("file"), "cannot be made")
        self.refused(ww("init", self.path("file/below")), "cannot be made")
        os.mkdir(self.path("links"))
        os.symlink("/nowhere", self.path("links/README.md"))
        self.refused(ww("init", self.path("links")), "README.md: this is there already")
        os.mkdir(self.path("else"))
        os.mkdir(self.path("linked"))
        os.symlink(self.path("else"), self.path("linked/src"))
        self.refused(ww("init", self.path("linked")), "linked/src: this is a symbolic link")
        self.assertEqual(os.listdir(self.path("else")), [])

    def test_a_folder_that_is_named_after_two_dashes(self):
        done = ww("init", "--", "-x", cwd=self.folder)
        self.assertEqual(done.stdout.decode(), self.path("-x") + "\n", done.stderr)

    def test_a_name_that_cmake_cannot_build_in_is_refused(self):
        for name in ("a;b", 'a"b'):
            shown = name.replace('"', '\\"')  # by the log
            self.refused(ww("init", self.path(name)), shown, "CMake builds in no folder with")
            os.rename(self.init("moved"), self.path(name))
            self.refused(self.build(self.path(name)), shown, "CMake builds in no folder with")


class BuildTest(MakeCase):
    def test_the_readme_of_a_project_shows_what_happens(self):
        project = self.init("first")
        with open(os.path.join(project, "README.md"), encoding="utf-8") as file:
            readme = file.read()
        (_, commands), (_, shown) = re.findall(r"```(\w*)\n(.*?)```", readme, re.S)
        self.assertEqual(commands, "ww build\nww run image\n")
        tools = self.path("bin")
        os.mkdir(tools)
        os.symlink(WW, os.path.join(tools, "ww"))
        outputs = []
        for line in commands.splitlines():
            done = subprocess.run(["sh", "-c", line], cwd=project, capture_output=True,
                                  timeout=LIMIT_S, encoding="utf-8",
                                  env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}",
                                       "WW_DATA_DIR": self.data})
            self.assertEqual(done.returncode, 0, done.stderr)
            outputs.append(done.stdout)
        self.assertEqual(outputs, [os.path.join(project, "image") + "\n", shown])

    def test_an_image_is_what_was_built_with_etc_and_lib(self):
        project = self.init()
        os.makedirs(os.path.join(project, "etc/deep/er"))
        with open(os.path.join(project, "etc/deep/er/config"), "w", encoding="utf-8") as file:
            file.write("here")
        with open(os.path.join(project, "CMakeLists.txt"), "a", encoding="utf-8") as file:
            file.write("ww_guest(child src/main.c++)\n")
        done = self.build(project, "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = json.loads(done.stdout)
        image = os.path.join(project, "image")
        self.assertEqual(said["image"], image)
        made = sorted(os.path.relpath(os.path.join(folder, name), image)
                      for folder, _, names in os.walk(image) for name in names)
        self.assertEqual(made, ["etc/deep/er/config", "etc/greeting", "lib/child.wasm",
                                "main.wasm"])
        self.assertEqual(os.path.getsize(os.path.join(image, "main.wasm")), said["mainBytes"])
        self.assertTrue(os.path.isdir(os.path.join(image, "lib")))

        # What is no guest any more is in no image any more.
        with open(os.path.join(project, "CMakeLists.txt"), encoding="utf-8") as file:
            lines = file.read().replace("ww_guest(child src/main.c++)\n", "")
        with open(os.path.join(project, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write(lines)
        self.assertEqual(self.build(project).returncode, 0)
        self.assertEqual(os.listdir(os.path.join(image, "lib")), [])

        # A mistake is told by the compiler, and the last image stays.
        with open(os.path.join(project, "src/main.c++"), "a", encoding="utf-8") as file:
            file.write("mistake;\n")
        done = self.build(project)
        self.refused(done, "`cmake --build build` ended with 1")
        self.assertIn("main.c++", done.stderr.decode())
        self.assertIn("a type specifier is required", done.stderr.decode())
        self.assertTrue(os.path.exists(os.path.join(image, "main.wasm")))
        self.assertNotIn(".image.part", os.listdir(project))

        # What somebody put there is not removed.
        with open(os.path.join(image, "notes"), "w", encoding="utf-8"):
            pass
        self.refused(self.build(project), "image/notes: `ww build` did not make this")
        self.assertTrue(os.path.exists(os.path.join(image, "notes")))

    def test_what_is_no_project_is_refused(self):
        self.refused(self.build(self.path("none")), "none: there is no such folder")
        os.mkdir(self.path("empty"))
        self.refused(self.build(self.path("empty")), "empty: this folder is no project",
                     "`ww init DIR` makes one")

    def test_what_is_another_s_is_left_as_it_is(self):
        def tell(path, text):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)

        # A project of CMake's that is no guest's, as this source tree is.
        other, cache = self.path("other"), self.path("other/build/CMakeCache.txt")
        tell(self.path("other/CMakeLists.txt"), "project(other LANGUAGES NONE)\n")
        tell(cache, "theirs")
        self.refused(self.build(other), "other/CMakeLists.txt: this is no project of a guest's",
                     "`ww init DIR`")
        # A guest's, in which somebody else builds.
        project = self.init()
        tell(os.path.join(project, "build/CMakeCache.txt"), "theirs")
        self.refused(self.build(project), "hello/build: `ww build` did not make this")
        # Where another project is built.
        third = self.init("third")
        tell(self.path("elsewhere/.ww-sdk"), f"sdk\n{third}\n")
        tell(self.path("elsewhere/CMakeCache.txt"), "theirs")
        shutil.rmtree(os.path.join(project, "build"))
        for each in (project, third):
            os.symlink(self.path("elsewhere"), os.path.join(each, "build"))
        self.refused(self.build(project), f"hello/build: this is where {third} is built")
        for path in (cache, self.path("elsewhere/CMakeCache.txt")):
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), "theirs")
        self.assertEqual(sorted(os.listdir(self.path("elsewhere"))),
                         [".ww-sdk", "CMakeCache.txt"])

    def test_a_mistake_in_cmakelists_is_mended_and_a_project_moves(self):
        project = self.init()
        file = os.path.join(project, "CMakeLists.txt")
        with open(file, encoding="utf-8") as was:
            text = was.read()
        with open(file, "a", encoding="utf-8") as cmake:
            cmake.write("no_such_command()\n")
        self.refused(self.build(project), "`cmake ", " ended with 1")
        with open(file, "w", encoding="utf-8") as cmake:
            cmake.write(text)
        self.assertEqual(self.build(project).returncode, 0)
        moved = self.path("moved")
        os.rename(project, moved)
        done = self.build(moved)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_is_missing_is_named_with_what_to_do(self):
        project = self.init()
        self.refused(self.build(project, env={**os.environ, "PATH": self.folder}),
                     "there is no cmake on the PATH", "apt-get install")
        tools = self.path("bin")
        os.mkdir(tools)
        for name in ("cmake", "ninja"):
            os.symlink(shutil.which(name), os.path.join(tools, name))
        self.refused(self.build(project, env={**os.environ, "PATH": tools}),
                     "there is no clang++-22 on the PATH", "clang-22", "wasi-libc")
        self.refused(self.build(project, "--sdk", self.folder),
                     f"{self.folder}: this folder is no SDK of ww")
        lone = self.path("ww")
        shutil.copy(WW, lone)
        done = subprocess.run([lone, "build", project], capture_output=True, timeout=LIMIT_S)
        self.refused(done, "the SDK is neither in", "make install", "WW_SDK")

    def test_a_rust_that_lacks_the_target_is_told_of_before_cargo_is_run(self):
        project, tools = self.init("rusty", "--rust"), self.path("bin")
        os.mkdir(tools)
        for name, script in (("rustc", "exit 1"), ("cargo", f"touch {self.path('cargo-ran')}")):
            with open(os.path.join(tools, name), "w", encoding="utf-8") as file:
                file.write(f"#!/bin/sh\n{script}\n")
            os.chmod(os.path.join(tools, name), 0o755)
        env = {name: value for name, value in os.environ.items()
               if name not in ("CARGO_BUILD_TARGET", "RUSTC")}
        done = self.build(project, env={**env, "PATH": f"{tools}:{os.environ['PATH']}"})
        self.refused(done, f"run in {project}: rustup target add wasm32-wasip2")
        self.assertFalse(os.path.exists(self.path("cargo-ran")))

    def test_files_that_no_image_holds_are_refused_by_name(self):
        project = self.init()
        os.symlink("/etc/passwd", os.path.join(project, "etc/passwd"))
        self.refused(self.build(project), "etc/passwd: an image holds plain files and folders")
        os.remove(os.path.join(project, "etc/passwd"))
        os.mkfifo(os.path.join(project, "lib/fifo"))
        self.refused(self.build(project), "lib/fifo: an image holds plain files and folders")
        shutil.rmtree(os.path.join(project, "lib"))
        os.symlink("/etc", os.path.join(project, "lib"))
        self.refused(self.build(project), "lib: this is no folder")


class SdkTest(MakeCase):
    def test_it_is_found_from_a_build_and_from_an_installation(self):
        done = ww("sdk-path")
        self.assertEqual(done.stdout.decode(), os.path.join(BUILD, "sdk") + "\n")
        prefix = self.path("prefix")
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix],
                              capture_output=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        installed = os.path.join(prefix, "bin/ww")
        done = subprocess.run([installed, "sdk-path", "-o", "json"], capture_output=True,
                              timeout=LIMIT_S)
        self.assertEqual(json.loads(done.stdout), {"sdk": os.path.join(prefix, "share/ww/sdk")})
        project = self.init()
        done = subprocess.run([installed, "build", project], capture_output=True, timeout=LIMIT_S)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Another SDK: the project is configured anew.
        self.assertEqual(self.build(project).returncode, 0)


if __name__ == "__main__":
    unittest.main()
