#!/usr/bin/env python3
"""Whom the manager admits while it runs: keys come and go, roles change, connections are cut, nobody else notices.

Usage: peers_test.py BUILD-FOLDER [-k NAME]
"""
import json
import sys
import time
import unittest
from pathlib import Path

from manager_site import ManagerSite, until

BUILD = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path("build/release")


class Peers(unittest.TestCase):
    def test_a_revoked_key_is_cut_off_within_a_second_and_others_go_on(self):
        with ManagerSite(BUILD, {"anna": "operator", "ben": "operator"}) as site:
            anna, ben = site.watch("anna"), site.watch("ben")
            site.configure({"ben": site.peers["ben"]})
            began = time.monotonic()
            site.read_again()
            until(lambda: anna.poll() is not None, "whoever follows the status under a revoked key is told", 5)
            took = time.monotonic() - began
            self.assertIn("does not admit this key", anna.stderr.read())
            self.assertLess(took, 1)
            print(f"a revoked key was cut off, tried again and was told so within {took * 1000:.0f} ms")
            self.assertNotEqual(site.run("anna", "status").returncode, 0)
            self.assertIsNone(ben.poll())
            self.assertEqual(site.run("ben", "status").returncode, 0)

    def test_a_key_is_replaced_without_an_outage(self):
        with ManagerSite(BUILD, {"anna": "operator"}) as site:
            watching = site.watch("anna")
            old = site.peers["anna"]["keys"]
            new = [site.new_key("anna-2")]
            site.write_client("anna-2")
            self.assertNotEqual(site.run("anna-2", "status").returncode, 0)
            site.configure({"anna": {"keys": old + new, "role": "operator"}})
            site.read_again()
            self.assertEqual(site.run("anna-2", "status").returncode, 0)
            self.assertEqual(site.run("anna", "status").returncode, 0)
            self.assertIsNone(watching.poll(), "a connection under the old key was cut while both are good")
            site.configure({"anna": {"keys": new, "role": "operator"}})
            site.read_again()
            self.assertEqual(site.run("anna-2", "status").returncode, 0)
            self.assertNotEqual(site.run("anna", "status").returncode, 0)

    def test_another_role_holds_at_once(self):
        with ManagerSite(BUILD, {"anna": "operator"}) as site:
            watching = site.watch("anna")
            drain = ("drain", "--host", "alpha", "--reason", "test")
            self.assertEqual(site.run("anna", *drain).returncode, 0)
            site.configure({"anna": {**site.peers["anna"], "role": "observer"}})
            site.read_again()
            refused = site.run("anna", *drain)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("may look and not act", refused.stderr)
            self.assertIsNone(watching.poll(), "an observer may go on watching, on a connection of its own")

    def test_administrators_decide_operators_keep_going_observers_look_and_all_of_it_is_written_down(self):
        with ManagerSite(BUILD, {"anna": "administrator", "ben": "operator", "otto": "observer"}) as site:
            define = ("define-terminal", "desk-2", "--profile", "office", "--reason", "a new desk")
            self.assertIn("needs a key with the role administrator", site.run("ben", *define).stderr)
            self.assertEqual(site.run("ben", *define[:-2], "--dry-run").returncode, 0)
            self.assertEqual(site.run("anna", *define).returncode, 0)
            self.assertEqual(site.run("ben", "drain", "--host", "alpha", "--reason", "paint").returncode, 0)
            self.assertNotEqual(site.run("ben", "kill", "77", "--reason", "it hangs").returncode, 0)
            self.assertIn("only a gateway says by=", site.run("ben", "act", "drain", "host=alpha", "by=anna", "--reason", "x").stderr)
            for who in ("ben", "otto"):
                self.assertIn("needs a key with the role administrator", site.run(who, "audit").stderr)
            answer = site.run("anna", "--json", "audit")
            entries = json.loads(answer.stdout)["entries"]
            self.assertEqual([(e["who"], e["role"], e["verb"], e["arguments"], e["reason"], e["result"]["result"]) for e in entries],
                             [("ben", "operator", "kill", ["node=77"], "it hangs", "refused"),
                              ("ben", "operator", "drain", ["host=alpha"], "paint", "done"),
                              ("anna", "administrator", "define-terminal", ["name=desk-2", "profile=office"], "a new desk", "done")])
            self.assertIn("there is no node 77", site.run("anna", "audit").stdout)
            site.manager.kill()  # as a crash would
            site.manager.wait()
            lines = [json.loads(line) for line in (site.home / "audit.log").read_text(encoding="utf-8").splitlines()]
            self.assertEqual(len(lines), 6)
            site.start()
            site.write_client("anna")
            self.assertEqual(json.loads(site.run("anna", "--json", "audit").stdout)["entries"], entries)
            self.assertEqual((site.home / "audit.log").stat().st_mode & 0o777, 0o600)

    def test_what_cannot_be_written_down_is_not_done(self):
        with ManagerSite(BUILD, {"anna": "administrator"}) as site:
            (site.home / "audit.log").symlink_to("/dev/full")
            refused = site.run("anna", "drain", "--host", "alpha", "--reason", "paint")
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("can't be recorded, so nothing was done", refused.stderr)
            self.assertIn("No space left on device", refused.stderr)
            self.assertIn("the audit log can't be written", site.run("anna", "status").stdout)
            self.assertIn("the mass-failure gate is not closed", site.run("anna", "override-gate", "--reason", "people wait").stderr)
            self.assertIn("carried out without a record of it", site.log())
            (site.home / "audit.log").unlink()
            self.assertEqual(site.run("anna", "drain", "--host", "alpha", "--reason", "paint").returncode, 0)
            self.assertNotIn("the audit log can't be written", site.run("anna", "status").stdout)

    def test_a_broken_file_changes_nothing_and_says_why(self):
        with ManagerSite(BUILD, {"anna": "operator"}) as site:
            good = dict(site.peers)
            site.configure({}, extra='[[peer]]\nname = "eve"\nrole = "king"\nkey = "short"\n')
            site.read_again()
            status = site.run("anna", "--json", "status")
            self.assertEqual(status.returncode, 0, "the key that was good before is good still: " + status.stderr)
            self.assertIn("[[peer]] role must be one of", status.stdout)
            self.assertIn("[[peer]] role must be one of", site.log())
            site.configure(good)
            site.read_again()
            self.assertNotIn("[[peer]] role", site.run("anna", "--json", "status").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
