"""`ww run LAYER...` as a user sees it: what layers come to, what pid0 sees, what is refused."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from nodes import IMAGES, WW, cell, ww

ROOT = os.environ["WW_ROOT"]
CHOIR = os.path.join(IMAGES, "choir")
FILES = cell("cell-files")


class ImageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Compiled once, for all tests: they differ in their images.
        cls.data = tempfile.mkdtemp(prefix="ww-e2e-data-")
        cls.addClassCleanup(shutil.rmtree, cls.data)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ww-e2e-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        return self.path(name)

    def copy(self, source, name):
        with open(source, "rb") as file:
            return self.write(name, file.read())

    def run_ww(self, *words):
        return subprocess.run([WW, "run", "--data-dir", self.data, *words],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)

    def says(self, *words, code=0):
        done = self.run_ww(*words)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.decode()

    def refused(self, *words, code=127):
        done = self.run_ww(*words)
        self.assertEqual((done.returncode, done.stdout), (code, b""), done.stderr)
        return done.stderr.decode()

    def test_an_image_reads_its_files_and_runs_its_components(self):
        with open(os.path.join(ROOT, "docs/images.md"), encoding="utf-8") as file:
            shown = re.search(r"images/choir\n```\n\n```\n(.*?)```", file.read(), re.S).group(1)
        self.assertEqual(self.says(CHOIR), shown)
        self.assertIn("child-echo: Echo: image\n", shown)

    def test_layers_one_over_the_other(self):
        # `ww run base app ./local`, where what is run has no files of its own.
        self.copy(FILES, "app/lib/files.wasm")
        self.write("app/etc/choir.conf", "child-echo app\n")
        self.write("local/etc/choir.conf",
                   "child-echo local\nfiles given\nfiles cat /etc/choir.conf\n")
        layers = (CHOIR, self.path("app"), self.path("local"))
        said = self.says(*layers, code=1)
        self.assertIn("child-echo: Echo: local\n", said)
        self.assertIn("choir: files exited with 0\n", said)
        self.assertTrue(said.endswith("choir: files exited with 1\n"), said)
        self.assertNotIn("app", said)
        self.assertEqual(self.says(*layers[:2]),
                         "child-echo: Echo: app\nchoir: child-echo exited with 0\n")
        self.write("without/lib/.wh.child-echo.wasm", "")
        done = self.run_ww(CHOIR, self.path("without"))
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"/lib/child-echo.wasm", done.stderr)

    def test_a_component_over_a_tree(self):
        self.write("base/etc/greeting", "good morning\n")
        self.write("base/main.wasm", "not a component")
        self.copy(FILES, "other/bin/main.wasm")
        self.write("plain/etc/greeting", "good night\n")
        self.assertEqual(self.says(self.path("base"), FILES, "--", "cat", "etc/greeting"),
                         "good morning\n")
        self.assertEqual(self.says(self.path("plain"), self.path("other"), "--", "cat",
                                   "etc/greeting"), "good night\n")

    def test_later_changes_are_not_seen(self):
        image = self.path("image")
        self.copy(FILES, "image/main.wasm")
        self.write("image/etc/x", "before")
        node = subprocess.Popen([WW, "run", "--data-dir", self.data, image, "--", "park"],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.assertEqual(node.stdout.readline(), b"parked\n")
        trees = os.path.join(self.data, "trees")
        tree = max((os.path.join(trees, name) for name in os.listdir(trees)), key=os.path.getmtime)
        self.write("image/etc/x", "after")
        with open(os.path.join(tree, "etc/x"), encoding="utf-8") as kept:
            self.assertEqual(kept.read(), "before")
        node.communicate(timeout=60)
        self.assertEqual(node.returncode, 0)
        self.assertEqual(self.says(image, "--", "cat", "/etc/x"), "after")

    def test_volumes(self):
        self.write("volume/x", "here")
        volume = f"{self.path('volume')}:/mnt/v"
        self.assertEqual(self.says("-v", volume, FILES, "--", "cat", "/mnt/v/x"), "here")
        self.assertIn("not permitted",
                      self.says("-v", volume, FILES, "--", "write", "/mnt/v/y", "1", code=1))
        self.says("--volume", volume + ":rw", FILES, "--", "write", "/mnt/v/y", "there")
        with open(self.path("volume/y"), encoding="utf-8") as written:
            self.assertEqual(written.read(), "there")

    def test_volumes_that_are_refused_where_proc_is_not_mounted(self):
        self.says(FILES, "--", "given")  # the node's key is there from now on
        without_proc = ["unshare", "-rm", "sh", "-c",
                        'mount -t tmpfs none /proc && exec "$@"', "sh"]
        if subprocess.run([*without_proc, "true"], capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted here")
        done = subprocess.run([*without_proc, WW, "run", "--data-dir", self.data, "-v",
                               f"{self.data}:/x", FILES, "--", "given"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn(b"to itself", done.stderr)

    def test_volumes_that_the_node_keeps_to_itself(self):
        os.symlink(self.data, self.path("link"))
        for host in (self.data, os.path.dirname(self.data), "/", self.path("link"),
                     os.path.join(self.data, "code")):
            said = self.refused("-v", f"{host}:/x", FILES, "--", "given", code=125)
            self.assertIn("to itself", said)
        allowed = self.write("keys/allowed", "")
        said = self.refused("--allow-file", allowed, "-v", f"{self.path('keys')}:/x", FILES,
                            code=125)
        self.assertIn("to itself", said)
        key = self.write("network/swarm.key", "/key/swarm/psk/1.0.0/\n/base16/\n" + "07" * 32)
        for with_network in ([], ["--no-network"]):
            said = self.refused("--private-network", key, *with_network, "--listen",
                                "/ip4/127.0.0.1/tcp/0", "-v", f"{self.path('network')}:/x", FILES,
                                code=125)
            self.assertIn(f"keeps something to itself in it: {key}", said)
        # Before anything is fetched, too.
        for image in (FILES, "/ipfs/bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"):
            self.assertIn("cannot be opened as a folder",
                          self.refused("-v", f"{self.path('gone')}:/x", image, code=125))

    def test_a_disk_that_is_full_is_named(self):
        data = self.path("data")
        os.mkdir(data)
        self.copy(FILES, "image/main.wasm")
        self.write("image/etc/large", b"x" * (4 << 20))
        on_a_small_disk = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=1m,mode=700 none'
                           ' "$1" && shift && exec "$@"', "sh", data]
        if subprocess.run([*on_a_small_disk, "true"], capture_output=True).returncode != 0:
            self.skipTest("no file system can be mounted here")
        done = subprocess.run([*on_a_small_disk, WW, "run", "--data-dir", data, self.path("image"),
                               "--", "given"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        self.assertEqual((done.returncode, done.stdout), (125, b""), done.stderr)
        self.assertIn(f"{data}/trees: 'etc/large' of the image cannot be written in it (No space "
                      "left on device); make room".encode(), done.stderr)

    def test_what_is_no_image(self):
        self.assertIn("no such image", self.refused(self.path("gone")))
        said = self.refused(CHOIR, "argument")
        self.assertIn("argument: no such image", said)
        self.assertIn("`ww image ls`", said)
        self.assertIn("those follow --", said)
        self.assertNotIn("those follow --", self.refused("argument"))
        self.assertIn("'none' is no content id", self.refused("/ipfs/none"))
        self.assertIn("none.car: no such image", self.refused("none.car"))
        cid = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
        self.assertIn("--gateway URL, --ipfs ADDRESS, or of `ww run` peers", self.refused(cid))
        os.mkdir(self.path("empty"))
        self.assertIn("neither main.wasm nor bin/main.wasm", self.refused(self.path("empty")))
        self.write("image/etc/x", "")
        os.mkfifo(self.path("image/pipe"))
        said = self.refused(CHOIR, self.path("image"))
        self.assertIn("the image cannot be had", said)
        self.assertIn("pipe: a FIFO", said)
        self.assertNotIn("no such image", said)
        self.assertNotIn("those follow --", said)
        os.remove(self.path("image/pipe"))
        os.symlink("/etc/passwd", self.path("image/out"))
        self.assertIn("out: a symbolic link that leads out",
                      self.refused(CHOIR, self.path("image")))
        os.remove(self.path("image/out"))
        self.write("image/Main.wasm", "")
        self.assertIn("differs in case alone", self.refused(CHOIR, self.path("image")))
        trees = os.listdir(os.path.join(self.data, "trees"))
        self.assertFalse([name for name in trees if name.startswith(".")], trees)


class StoreTest(unittest.TestCase):
    def setUp(self):
        self.data = tempfile.mkdtemp(prefix="ww-e2e-")
        self.addCleanup(shutil.rmtree, self.data)

    def image(self, *words, code=0):
        done = ww("image", *words, "--data-dir", self.data)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.decode(), done.stderr.decode()

    def test_what_has_nothing_to_run_is_kept_as_a_layer_and_said_to_be_one(self):
        layer = os.path.join(self.data, "layer")
        os.makedirs(os.path.join(layer, "etc"))
        said = self.image("add", layer)[1]
        self.assertIn("it is a layer for other images", said)
        self.assertNotIn("layer", self.image("add", CHOIR)[1])

    def test_what_is_kept_is_listed_for_people_and_for_programs(self):
        listed, said = self.image("ls")
        self.assertEqual(listed, "NAME  SIZE  BLOCKS  STATE  USED  CID\n")
        self.assertIn("there are no images here; `ww image add IMAGE` brings one", said)
        self.assertEqual(self.image("ls", "-o", "json")[0], "[]\n")
        cid = self.image("add", CHOIR, "--name", "choir")[0].strip()
        listed, said = self.image("ls")
        self.assertEqual(said, "")
        title, row = listed.splitlines()
        self.assertRegex(row, rf"^choir +\d+\.\d [KM]iB +\d+ +pinned +\S+Z +{cid}$")
        for column, value in (("SIZE", r"\d"), ("STATE", "pinned"), ("CID", cid)):
            self.assertRegex(row[title.index(column):], f"^{value}")
        [image] = json.loads(self.image("ls", "-o", "json")[0])
        self.assertEqual((image["cid"], image["name"], image["pinned"]), (cid, "choir", True))
        for when in ("addedAt", "usedAt"):
            self.assertRegex(image[when], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertRegex(self.image("verify")[0], r"^\d+ blocks of \d+\.\d [KM]iB: all are ")

    def test_what_only_looks_makes_no_store(self):
        nowhere = os.path.join(self.data, "nowhere")
        for words, code in ((("ls",), 0), (("verify",), 125), (("gc",), 125), (("rm", "x"), 127),
                            (("pin", "x"), 127), (("unpin", "x"), 127),
                            (("export", "x", "-"), 127)):
            done = ww("image", *words, "--data-dir", nowhere)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(nowhere.encode(), done.stderr)
        done = ww("run", "--data-dir", self.data, "app")
        self.assertEqual(done.returncode, 127, done.stderr)
        self.assertFalse(os.path.exists(nowhere))
        self.assertFalse(os.path.exists(os.path.join(self.data, "images")))

    def test_it_is_run_by_its_name_and_a_path_comes_before_that(self):
        def run(*layers):
            return ww("run", "--data-dir", self.data, *layers, cwd=self.data)
        cid = self.image("add", CHOIR, "--name", "app")[0]
        done = run("app")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"child-echo: Echo: image\n", done.stdout)
        for command in (("push", "--to", "swarm"), ("image", "add")):
            done = ww(*command, "app", "--data-dir", self.data, cwd=self.data)
            self.assertEqual((done.returncode, done.stdout.decode()), (0, cid), done.stderr)
        os.makedirs(os.path.join(self.data, "local/etc"))
        with open(os.path.join(self.data, "local/etc/choir.conf"), "w", encoding="utf-8") as file:
            file.write("child-echo local\n")
        self.assertEqual(run("app", "local").stdout.splitlines()[0], b"child-echo: Echo: local")
        self.assertIn(b"./app: no such image", run("./app").stderr)
        os.mkdir(os.path.join(self.data, "app"))
        done = run("app")
        self.assertEqual((done.returncode, done.stdout), (127, b""))
        self.assertIn(b"neither main.wasm nor bin/main.wasm", done.stderr)

    def test_it_is_exported_to_a_file_and_to_a_pipe_and_not_over_the_store(self):
        self.image("add", CHOIR, "--name", "choir")
        with tempfile.TemporaryDirectory() as folder:
            car = os.path.join(folder, "choir.car")
            self.image("export", "choir", car)
            with open(car, "rb") as file:
                content = file.read()
        for name in ("-", "/dev/stdout"):
            done = ww("image", "export", "choir", name, "--data-dir", self.data)
            self.assertEqual((done.returncode, done.stdout), (0, content), done.stderr)
        said = self.image("export", "choir", os.path.join(self.data, "images/blocks.db"),
                          code=125)[1]
        self.assertIn("where no file of yours belongs", said)
        self.image("verify")

    def test_a_disk_that_it_filled_is_emptied_again(self):
        disk, image = os.path.join(self.data, "disk"), os.path.join(self.data, "large")
        os.mkdir(disk)
        os.mkdir(image)
        shutil.copy(FILES, os.path.join(image, "main.wasm"))
        with open(os.path.join(image, "data"), "wb") as file:
            file.write(os.urandom(128 << 20))
        shell = """mount -t tmpfs -o size=160m,mode=700 none "$1" || exit 77
            add() { "$WW" image add --data-dir "$1" "$2"; }
            add "$1" "$2"; echo large $?
            "$WW" image gc --data-dir "$1" > /dev/null; echo gc $?
            add "$1" "$3" > /dev/null; echo small $?"""
        done = subprocess.run(["unshare", "-rm", "sh", "-c", shell, "sh", disk, image, CHOIR],
                              capture_output=True, timeout=120)
        if b"large" not in done.stdout:
            self.skipTest("no file system can be mounted here")
        self.assertEqual(done.stdout, b"large 125\ngc 0\nsmall 0\n", done.stderr)
        self.assertIn(f"{disk}/images: the disk is nearly full".encode(), done.stderr)

    def test_an_image_that_there_is_not_has_an_exit_code_of_its_own(self):
        for words in (("rm", "app"), ("pin", "app"), ("unpin", "app"),
                      ("export", "app", os.path.join(self.data, "app.car")),
                      ("add", os.path.join(self.data, "gone")), ("add", "gone"),
                      ("add", "gone.car"), ("add", "/ipfs/gone")):
            listed, said = self.image(*words, code=127)
            self.assertEqual(listed, "")
            self.assertRegex(said, "no such image|cannot be had")


unittest.main()
