"""The interface of contracts/Stem.sol: what the compiler made of it against what is promised, and
against what the follower spells out. Run by tools/build-chain.sh."""
import json
import os
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLLOWER = ROOT / "src/ww/stem/contract-abi.h"
HEADERS = sorted((ROOT / "src/ww/stem").glob("*.h"))
CONTRACT = ROOT / "contracts/Stem.sol"

# In Solidity's words. A parameter is (type, name), and True where it is indexed.
FUNCTIONS = {
    "owner": ([], [("address", "")], "view"),
    "seq": ([], [("uint64", "")], "view"),
    "head": ([], [("uint64", "seq"), ("bytes", "cid")], "view"),
    "setHead": ([("bytes", "newCid")], [], "nonpayable"),
}
EVENTS = {
    "HeadUpdated": [("uint64", "seq", True), ("address", "writer", True), ("bytes", "cid", False),
                    ("bytes32", "cidHash", True)],
}
ERRORS = {"NotOwner": [], "NoChange": [], "TooLong": []}
CONSTRUCTOR = [("bytes", "firstCid")]


def parameters(entries):
    return [(entry["type"], entry["name"]) for entry in entries]


def string_constant(path, name):
    """The value that a header gives a kj::StringPtr."""
    constant = rf'constexpr kj::StringPtr {name} =\s*"([^"]*)"_kj;'
    found = re.findall(constant, path.read_text("utf-8"))
    assert len(found) == 1, (path, name, found)
    return found[0]


def number_constant(*paths):
    """The value that one of these gives MAX_HEAD_BYTES."""
    text = "".join(path.read_text("utf-8") for path in paths)
    found = re.findall(r"(?:constant|size_t) MAX_HEAD_BYTES = (\d+);", text)
    assert len(found) == 1, (paths, found)
    return int(found[0])


class AbiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with open(os.environ["WW_STEM_JSON"], encoding="utf-8") as compiled:
            cls.stem = json.load(compiled)

    def entries(self, kind):
        return {entry["name"]: entry for entry in self.stem["abi"] if entry["type"] == kind}

    def test_functions(self):
        self.assertEqual({name: (parameters(entry["inputs"]), parameters(entry["outputs"]),
                                 entry["stateMutability"])
                          for name, entry in self.entries("function").items()}, FUNCTIONS)

    def test_events(self):
        events = self.entries("event")
        self.assertEqual({name: [(each["type"], each["name"], each["indexed"])
                                 for each in event["inputs"]]
                          for name, event in events.items()}, EVENTS)
        self.assertIs(events["HeadUpdated"]["anonymous"], False)

    def test_errors(self):
        self.assertEqual({name: parameters(entry["inputs"])
                          for name, entry in self.entries("error").items()}, ERRORS)

    def test_nothing_else(self):
        others = [entry for entry in self.stem["abi"]
                  if entry["type"] not in ("function", "event", "error")]
        self.assertEqual([entry["type"] for entry in others], ["constructor"])
        self.assertEqual(parameters(others[0]["inputs"]), CONSTRUCTOR)
        self.assertEqual(others[0]["stateMutability"], "nonpayable")

    def test_what_the_follower_spells_out(self):
        self.assertEqual(string_constant(FOLLOWER, "HEAD_CALL_DATA"),
                         self.stem["methodIdentifiers"]["head()"])
        self.assertEqual(string_constant(FOLLOWER, "SET_HEAD_SELECTOR"),
                         self.stem["methodIdentifiers"]["setHead(bytes)"])
        self.assertEqual({f"{name}()": string_constant(FOLLOWER, f"{constant}_SELECTOR")
                          for name, constant in (("NotOwner", "NOT_OWNER"),
                                                 ("NoChange", "NO_CHANGE"),
                                                 ("TooLong", "TOO_LONG"))},
                         self.stem["errorSelectors"])
        self.assertEqual(list(self.stem["eventTopics"].values()),
                         [string_constant(FOLLOWER, "HEAD_UPDATED_TOPIC")])

    def test_the_topic_is_the_one_that_the_code_emits(self):
        # Whatever hashed it for eventTopics: the compiler has put its own hash into the code.
        code = self.stem["deployedBytecode"]
        topic = self.stem["eventTopics"]["HeadUpdated(uint64,address,bytes,bytes32)"]
        self.assertIn("7f" + topic[2:], code)  # PUSH32
        for selector in self.stem["errorSelectors"].values():
            self.assertRegex(selector, "^0x[0-9a-f]{8}$")

    def test_one_limit_of_a_heads_length(self):
        self.assertEqual(number_constant(CONTRACT), number_constant(*HEADERS))


if __name__ == "__main__":
    unittest.main()
