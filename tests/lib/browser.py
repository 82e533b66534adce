"""A headless browser, by the WebDriver protocol of Debian's chromedriver."""

import base64
import os
import shutil
import subprocess
import tempfile

import requests

from .fleet import free_address, http_get
from .wait import wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
AVAILABLE = bool(shutil.which("chromedriver") and shutil.which("chromium"))


class Browser:
    def __init__(self, width=1280, height=900):
        address = free_address()
        self._home = tempfile.mkdtemp(prefix="garrison-browser-", dir="/tmp")
        self._driver = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "chromedriver", "--port=" + address.rpartition(":")[2]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": self._home},
        )
        self._http = requests.Session()
        self._http.trust_env = False
        self._url = f"http://{address}"
        wait_for(lambda: http_get(self._url + "/status"), 20, what="chromedriver")
        options = {
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                f"--window-size={width},{height}",
                f"--user-data-dir={self._home}/profile",
            ],
            # Narrower than a window may be: what a phone has.
            **({"mobileEmulation": {"deviceMetrics": {"width": width, "height": height, "pixelRatio": 2}}} if width < 500 else {}),
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        session = self._ask("post", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._url += "/session/" + session["sessionId"]

    def _ask(self, method, path, body=None):
        answer = self._http.request(method, self._url + path, json=body, timeout=60)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def close(self):
        try:
            self._ask("delete", "")
        finally:
            self._driver.terminate()
            self._driver.wait(20)
            shutil.rmtree(self._home, ignore_errors=True)

    def open(self, url):
        self._ask("post", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value that the script returns."""
        return self._ask("post", "/execute/sync", {"script": script, "args": list(arguments)})

    def find(self, selector, timeout=10):
        def found():
            elements = self._ask("post", "/elements", {"using": "css selector", "value": selector})
            return elements and elements[0][ELEMENT]

        return wait_for(found, timeout, what=f"{selector} in the page")

    def text(self, selector):
        return self._ask("get", f"/element/{self.find(selector)}/text")

    def click(self, selector):
        self._ask("post", f"/element/{self.find(selector)}/click", {})

    def type(self, selector, text):
        element = self.find(selector)
        self._ask("post", f"/element/{element}/clear", {})
        self._ask("post", f"/element/{element}/value", {"text": text})

    def log(self, kind):
        """Entries of the log "browser" (its console) or "performance" (its protocol) since the last call."""
        return self._ask("post", "/se/log", {"type": kind})

    def screenshot(self, path):
        with open(path, "wb") as file:
            file.write(base64.b64decode(self._ask("get", "/screenshot")))
