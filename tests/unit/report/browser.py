"""A real browser without a screen, whose network leads nowhere, and what it says of a page."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_ARGUMENTS = (
    "--headless=new",
    # Tests run as root here and there, where its sandbox does not.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--no-first-run",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
#: A new browser may still be loading the page with which it begins.
_OWN = ("chrome://", "data:")
#: What is wider than the window, and in no box that scrolls by itself.
_TOO_WIDE = """
const wide = document.documentElement.clientWidth + 0.5;
return [...document.body.querySelectorAll('*')].filter(one =>
    one.getBoundingClientRect().right > wide && one.checkVisibility()
    && !one.closest('.scrolls table, thead, svg g'))
  .map(one => one.tagName + ' ' + one.className + ' ' + one.getBoundingClientRect().right);
"""
#: Of each plot that shows: its size, and how many of its paths can be seen in it.
_PLOTS = """
return [...document.querySelectorAll('svg')].filter(one => one.checkVisibility()).map(svg => {
  const frame = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll('path')].map(path => path.getBoundingClientRect());
  const inside = boxes.filter(box => box.width + box.height > 0 && box.right > frame.left
    && box.left < frame.right && box.bottom > frame.top && box.top < frame.bottom);
  const texts = [...svg.querySelectorAll('text')].map(text => text.getBoundingClientRect());
  const cut = texts.filter(box => box.right > frame.right + 1 || box.left < frame.left - 1
    || box.bottom > frame.bottom + 1 || box.top < frame.top - 1);
  return {width: frame.width, height: frame.height, paths: inside.length, cut: cut.length,
    letters: Math.min(...texts.map(box => box.height)), label: svg.getAttribute('aria-label')};
});
"""


class Browser:
    """Chromium, driven through its own driver."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def show(self, path: Path, width: int = 1280, *, dark: bool = False) -> None:
        """Open a file in a window of this width, and forget what was logged before."""
        self.logs()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", media="", features=[scheme])
        self.driver.get(path.as_uri())

    def show_on_paper(self, path: Path, width: int) -> None:
        """Open a file as it is printed on paper of this width, whatever the screen's colours."""
        self.show(path, width, dark=True)
        self.command("Emulation.setEmulatedMedia", media="print")

    def command(self, name: str, **arguments: Any) -> Any:
        """Send a command of the developer tools' protocol."""
        return self.driver.execute_cdp_cmd(name, arguments)

    def ask(self, script: str, *arguments: Any) -> Any:
        """Return what a script of ours says of the page; the page itself may run none."""
        return self.driver.execute_script(script, *arguments)

    def logs(self) -> tuple[list[str], list[str]]:
        """Return what the console says, and the addresses that were asked for, since the last call.

        What is in the page itself, or in the browser, is left out.
        """
        read: Callable[[str], list[dict[str, Any]]] = self.driver.get_log
        console = [entry["message"] for entry in read("browser")]
        asked = []
        for entry in read("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                asked.append(message["params"]["request"]["url"])
        return console, [address for address in asked if not address.startswith(_OWN)]

    def too_wide(self) -> list[str]:
        """Return what does not fit the window."""
        found: list[str] = self.ask(_TOO_WIDE)
        return found

    def plots(self) -> list[dict[str, Any]]:
        """Return what can be seen of each plot."""
        found: list[dict[str, Any]] = self.ask(_PLOTS)
        return found

    def pdf(self) -> bytes:
        """Return the page as it is printed on A4."""
        answer = self.command("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        return base64.b64decode(answer["data"])


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Start a browser with a profile of its own in a folder."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for argument in (*_ARGUMENTS, f"--user-data-dir={folder}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        yield Browser(driver)
    finally:
        driver.quit()
