"""Drive the page of `gdm explore` in a real browser, by hand: the suite has none.

    pip install "gdm[explore,torch,train]" playwright && playwright install chromium     (or a chromium of the system)
    python -m property_tests.browser_explore RUN screenshots/

Serves the run, presses every button, moves sliders, encodes a file, and checks that images change and that others
do not; that the page asks no other host for anything, reports no error, and cannot be had from this machine's other
addresses or under another name; and that an interrupt ends the server cleanly. It writes a screenshot of each tab.
"""

from __future__ import annotations

import argparse
import http.client
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image
from playwright.sync_api import expect, sync_playwright  # pyright: ignore[reportMissingImports]

HOST, PORT, PATIENCE = "127.0.0.1", 8377, 120_000  # ms that a picture may take on a slow machine


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("screenshots", type=Path)
    parser.add_argument("--steps", default="8")
    args = parser.parse_args()
    args.screenshots.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gdm", "explore", str(args.run), "--no-browser", "--port", str(PORT)]
    server = subprocess.Popen(
        [*command, "--steps", args.steps], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_for(server)
        beyond_loopback()
        in_browser(args.screenshots)
        server.send_signal(signal.SIGINT)
        said, _ = server.communicate(timeout=30)
    except BaseException:
        server.kill()
        print(server.communicate()[0], file=sys.stderr)
        raise
    print(said)
    assert server.returncode == 0, f"Ctrl-C ended it with {server.returncode}"
    assert "Traceback" not in said and "Error" not in said
    print(f"all well; screenshots in {args.screenshots}")
    return 0


def wait_for(server: subprocess.Popen[str]) -> None:
    """Wait until the server answers."""
    for _ in range(240):
        assert server.poll() is None, server.stdout.read() if server.stdout else "it ended"
        with socket.socket() as trial:
            if trial.connect_ex((HOST, PORT)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the server does not answer")


def beyond_loopback() -> None:
    """Hold that only the loopback address listens, and only under its own name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing: it asks which address would be used
        own = probe.getsockname()[0]
    assert not own.startswith("127."), "this machine has no other address to try"
    with socket.socket() as trial:
        assert trial.connect_ex((own, PORT)) != 0, f"{own}:{PORT} answers"
    for name, status in ((HOST, 200), ("localhost", 200), ("attacker.example", 400)):
        connection = http.client.HTTPConnection(HOST, PORT, timeout=30)
        connection.request("GET", "/", headers={"Host": f"{name}:{PORT}"})
        got = connection.getresponse().status
        assert got == status, f"Host: {name} gets {got}, expected {status}"
    print(f"{own}:{PORT} refuses; other names get 400")


def in_browser(screenshots: Path) -> None:
    """Press everything."""
    asked: list[str] = []
    complaints: list[str] = []
    with sync_playwright() as tool:
        system = shutil.which("chromium") or shutil.which("google-chrome")
        browser = tool.chromium.launch(executable_path=system, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://{HOST}:{PORT}/")
        expect.set_options(timeout=PATIENCE)
        Visitor(page, screenshots).try_all()
        another = browser.new_page()
        another.set_default_timeout(PATIENCE)
        another.goto(f"http://{HOST}:{PORT}/")
        expect(another.get_by_text("seed 0 no. 0")).to_be_visible(timeout=PATIENCE)
        print("a second visitor begins anew")
        browser.close()
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {f"{HOST}:{PORT}"}, f"the page asks {hosts}"
    assert not complaints, complaints
    print(f"{len(asked)} requests, all to {hosts}")


class Visitor:
    """One who uses the page."""

    def __init__(self, page: Any, screenshots: Path) -> None:
        self.page, self.screenshots = page, screenshots

    def try_all(self) -> None:
        page = self.page
        self.settled()
        first = self.source("the image that is edited")
        self.shot("sliders")
        classes = page.get_by_label("class").first
        print("images are enlarged", self.rendering())
        self.sliders()
        page.get_by_label("number").first.fill("5")
        self.press("Sample")
        assert self.source("the image that is edited") != first, "Sample changes nothing"
        if classes.is_visible():
            self.choose("class", "3")
        page.locator("input[aria-label^='image of']").first.fill("7")
        self.press("Encode")
        assert page.get_by_text("there and back loses").first.is_visible()
        encoded = self.source("the image that is edited")
        self.upload()
        assert self.source("the image that is edited") != encoded, "a file changes nothing"
        self.shot("uploaded")
        page.locator("input[aria-label^='image of']").first.fill("999999")
        self.press("Encode")
        assert page.get_by_text("expected 0 to").is_visible(), "an error is not told"
        self.shot("error")
        page.locator("input[aria-label^='image of']").first.fill("7")
        self.press("Encode")
        self.mix()
        self.variation()

    def sliders(self) -> None:
        """Move one by the keyboard and one by the mouse, choose another group, reset."""
        page, after = self.page, "the image with the sliders moved"
        before = self.source(after)
        thumbs = page.locator(".q-slider__track-container")
        assert thumbs.count() >= 2
        [thumbs.nth(0).press("PageUp") for _ in range(3)]
        self.settled()
        moved = self.source(after)
        assert moved != before, "a slider changes nothing"
        box = thumbs.nth(1).bounding_box()
        page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2)
        self.settled()
        assert self.source(after) != moved, "a click on a slider changes nothing"
        self.shot("moved")
        page.get_by_label("group", exact=True).first.click()
        page.get_by_role("option").nth(1).click()
        self.settled()
        self.shot("group")
        thumbs.nth(0).press("PageDown")
        self.settled()
        self.press("Reset")
        self.settled()
        assert self.source(after) == before, "Reset does not lead back"
        print("sliders move, and Reset leads back")

    def upload(self) -> None:
        """Encode a file of other size and colours than the run's."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "mine.png"
            colours = np.linspace(0, 255, 40 * 60 * 3).reshape(40, 60, 3).astype(np.uint8)
            Image.fromarray(colours).save(path)
            self.page.locator("input[type=file]").first.set_input_files(path)
            self.page.get_by_text("mine.png").first.wait_for()
        self.settled()

    def mix(self) -> None:
        page = self.page
        page.get_by_role("tab", name="Mix").click()
        page.locator(".q-tab-panel:visible").get_by_label("number").fill("3")
        self.press("Sample")
        self.press("Mix", exact=True)
        cells = page.locator(".q-tab-panel:visible .panels img")
        assert cells.count() >= 4 and len({cell.get_attribute("src") for cell in cells.all()}) >= 4
        self.shot("mix")
        print(f"a mixture of {cells.count()} cells")

    def variation(self) -> None:
        page = self.page
        page.get_by_role("tab", name="Variation").click()
        self.press("Vary")
        cells = page.locator(".q-tab-panel:visible .panels img")
        sources = [cell.get_attribute("src") for cell in cells.all()]
        assert len(sources) == 7 and len(set(sources)) == 7, "variations are alike"
        self.shot("variation")
        self.press("Next seed")
        again = [cell.get_attribute("src") for cell in cells.all()]
        assert again[0] == sources[0] and not set(again[1:]) & set(sources[1:])
        self.choose("these groups", "are drawn anew")
        self.press("Vary")
        self.shot("resampled")
        print("variations differ, and their image stays")

    def choose(self, label: str, option: str) -> None:
        self.page.locator(f"[aria-label='{label}']:visible").first.click()
        self.page.get_by_role("option", name=option, exact=True).click()

    def press(self, name: str, exact: bool = True) -> None:
        """Press the button of this name that is in the open tab, else the one beside it, and wait."""
        inside = self.page.locator(".q-tab-panel:visible").get_by_role("button", name=name, exact=exact)
        (inside if inside.count() else self.page.get_by_role("button", name=name, exact=exact)).first.click()
        self.settled()

    def settled(self) -> None:
        """Wait until the page does not work any more."""
        self.page.wait_for_timeout(400)
        expect(self.page.locator("header .q-spinner")).to_be_hidden(timeout=PATIENCE)
        self.page.wait_for_timeout(200)
        expect(self.page.locator("header .q-spinner")).to_be_hidden(timeout=PATIENCE)

    def source(self, said: str) -> str:
        """Return the image that a picture shows."""
        found = self.page.get_by_alt_text(said).get_attribute("src")
        assert found and found.startswith("data:image/png"), f"no picture: {said}"
        return found

    def rendering(self) -> str:
        """Return how pictures are enlarged: their own width and that on the page."""
        script = "it => [it.naturalWidth, it.clientWidth, getComputedStyle(it).imageRendering]"
        own, width, how = self.page.get_by_alt_text("the image that is edited").evaluate(script)
        assert how == "pixelated" and width > 2 * own
        return f"from {own} to {width} pixels, {how}"

    def shot(self, name: str) -> None:
        self.page.screenshot(path=str(self.screenshots / f"{name}.png"))


if __name__ == "__main__":
    sys.exit(main())
