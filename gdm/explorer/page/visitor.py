"""One visitor's page: it wires controls to a `Session`, and shows what comes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from nicegui import events, run, ui  # pyright: ignore[reportMissingImports]  # of the extra "explore"

from gdm.canvas import BLUE
from gdm.encoding import Latents
from gdm.errors import GDMError
from gdm.explorer.page import parts
from gdm.explorer.session import REACH, Element, Session, channel_choices, group_choices
from gdm.explorer.workbench import Workbench
from gdm.panels import Panels

LARGEST = 50 * 2**20  # bytes of an uploaded file


class Page:
    """One visitor's page: a picture and where it comes from on the left; sliders, mixtures and variations beside it."""

    def __init__(self, bench: Workbench) -> None:
        self.bench, self.schedule = bench, bench.model.schedule
        self.session: Session | None = None
        self.drawing, self.jobs = False, 0

    def build(self) -> None:
        """Lay the page out; its first images follow as soon as they are made."""
        ui.add_css(parts.STYLE)
        ui.colors(primary=BLUE)
        ui.button.default_props("no-caps unelevated")
        self.header()
        with ui.row(wrap=False).classes("w-full p-4 gap-4 items-start"):
            with ui.card().classes("w-80 shrink-0 gap-3"):
                self.picture, self.caption = parts.large(self.schedule.shape, "the image that is edited", "100%")
                self.source(self.edit, number=0)
            with ui.card().classes("grow min-w-0"):
                with ui.tabs().props("no-caps active-color=primary") as tabs:
                    names = [ui.tab(name) for name in ("Sliders", "Mix", "Variation")]
                with ui.tab_panels(tabs, value=names[0], animated=False, keep_alive=True).classes("w-full"):
                    for name, build in zip(names, (self.sliders, self.mix, self.variation), strict=True):
                        with ui.tab_panel(name):
                            build()
        ui.timer(0.05, self.begin, once=True)

    def header(self) -> None:
        """Say which run this is, and show when it works."""
        model = self.bench.model
        facts = f"{self.schedule.k} groups · {model.backend.name} on {model.backend.device} · step {model.step}"
        with ui.header().classes("items-center gap-4 px-6 py-2 bg-slate-800"):
            ui.label("gdm explore").classes("text-lg font-medium")
            ui.label(self.bench.name).classes("text-lg text-slate-300")
            ui.space()
            self.spinner = ui.spinner(color="white", size="1.4em")
            ui.label(f"{facts} · {self.bench.solver}").classes("text-sm text-slate-300")

    # Where images come from

    def source(self, take: Callable[[Latents], Awaitable[None]], number: int) -> None:
        """Offer an image of a seed, one of the run's data, or an upload; `take` is told of the latents."""
        classes = self.bench.model.classes
        label = ui.select({-1: "its own, or in turn", **dict(enumerate(classes))}, value=-1, label="class")
        label.classes("w-full").set_visibility(bool(classes))

        async def make(job: Callable[..., Latents], *arguments: Any) -> None:
            if any(argument is None for argument in arguments):
                return ui.notify("fill in the numbers first", type="warning")
            told = None if label.value == -1 else label.value
            found = await self.work(partial(job, *arguments, told))
            return None if found is None else await take(found)

        with ui.row(wrap=False).classes("w-full items-end gap-2"):
            seed, which = parts.number("seed", 0), parts.number("number", number)
            ui.button("Sample", on_click=lambda: make(self.bench.sampled, parts.whole(seed), parts.whole(which)))
        with ui.row(wrap=False).classes("w-full items-end gap-2"):
            row = parts.number(f"image of {self.bench.model.spec.data.source.rsplit('/', 1)[-1]}", number)
            ui.button("Encode", on_click=lambda: make(self.bench.of_data, parts.whole(row)))

        async def uploaded(event: events.UploadEventArguments) -> None:
            upload.reset()
            await make(self.bench.of_file, await event.file.read(), event.file.name)

        refused = partial(ui.notify, f"expected an image of at most {LARGEST >> 20} MB", type="negative")
        upload = ui.upload(label="or encode a file", auto_upload=True, max_file_size=LARGEST, on_upload=uploaded)
        upload.on("rejected", lambda: refused()).props("flat accept=image/*")

    async def begin(self) -> None:
        """Make the first images."""
        self.session = await self.work(partial(Session.start, self.bench))
        await self.restart()

    async def edit(self, subject: Latents) -> None:
        """Take another image to edit."""
        if self.session is not None:
            self.session = self.session.edit(subject)
            await self.restart()

    async def restart(self) -> None:
        """Show the image of the session as it is, and what it is mixed with."""
        if self.session is None:
            return
        parts.show(self.picture, parts.only(self.session.subject))
        self.caption.text = parts.told(self.session.subject)
        parts.show(self.other, parts.only(self.session.partner))
        self.other_caption.text = parts.told(self.session.partner)
        for panels in (self.mixed, self.varied):
            panels.clear()
        self.place_sliders()
        await self.redraw()

    # Sliders

    def sliders(self) -> None:
        """A slider for each of the first elements of a group, and the image as they make it."""
        groups = group_choices(self.schedule)
        with ui.row(wrap=False).classes("w-full gap-8 items-start"):
            with ui.column().classes("shrink-0 gap-2"):
                self.after, _ = parts.large(self.schedule.shape, "the image with the sliders moved", "20rem")
                ui.label("decoded with these latents").classes("text-sm text-slate-500")
                ui.button("Reset", on_click=self.reset).props("outline")
            with ui.column().classes("grow min-w-0 gap-2"):
                with ui.row().classes("items-end gap-4"):
                    self.group = ui.select(groups, value=0, label="group", on_change=self.choose).classes("w-48")
                    self.channels = ui.select(["all"], value="all", label="channels", on_change=self.place_sliders)
                    self.count = ui.select([8, 12, 16], value=8, label="sliders", on_change=self.place_sliders)
                    self.channels.classes("w-24")
                    self.count.classes("w-24")
                self.board = ui.element("div").classes("w-full")
        self.choose()

    def choose(self) -> None:
        """Offer the channels of the group that was chosen."""
        names = list(channel_choices(self.schedule, self.group.value))
        self.channels.set_visibility(len(names) > 1)
        self.channels.set_options(names, value="all")
        self.place_sliders()

    def place_sliders(self) -> None:
        """Place the sliders where the latents are."""
        self.board.clear()
        if self.session is None:
            return
        chosen = channel_choices(self.schedule, self.group.value)[self.channels.value]
        kind = "frequency" if self.schedule.basis.coordinates.endswith("frequencies") else "pixel"
        with self.board:
            for element in self.session.elements(self.group.value, chosen, self.count.value):
                with ui.row(wrap=False).classes("w-full items-center gap-4"):
                    name = f"{kind} {element.rank}"
                    ui.label(name).classes("w-28 text-sm text-slate-600 shrink-0")
                    value = self.session.value(element)
                    at = min(max(value, -REACH), REACH)
                    slider = ui.slider(min=-REACH, max=REACH, step=0.05, value=at).classes("grow")
                    slider.props["aria-label"] = name
                    number = ui.label(f"{value:+.2f}").classes("w-12 shrink-0 text-sm text-right tabular-nums")
                    slider.on_value_change(partial(self.move, element, number))

    async def move(self, element: Element, number: ui.label, event: events.ValueChangeEventArguments) -> None:
        """Move an element to where its slider is."""
        if self.session is not None:
            number.text = f"{event.value:+.2f}"
            self.session = self.session.moved(element, event.value)
            await self.redraw()

    async def reset(self) -> None:
        """Take all sliders back."""
        if self.session is not None:
            self.session = self.session.reset()
            self.place_sliders()
            await self.redraw()

    async def redraw(self) -> None:
        """Decode the latents as they are; while that lasts, sliders may move on, and only the last place is drawn."""
        if self.drawing:
            return
        self.drawing = True
        try:
            drawn = None
            while drawn is not self.session and self.session is not None:
                drawn = self.session
                image = await self.work(drawn.edited)
                if image is not None:
                    parts.show(self.after, image)
        finally:
            self.drawing = False

    # Mixtures and variations

    def mix(self) -> None:
        """Swap groups with a second image."""
        groups = group_choices(self.schedule)
        with ui.row(wrap=False).classes("w-full gap-6 items-start"):
            with ui.column().classes("shrink-0 gap-2 w-40"):
                self.other, self.other_caption = parts.large(self.schedule.shape, "the image to mix with", "10rem")
            with ui.column().classes("w-72 shrink-0 gap-3"):
                self.source(self.mix_with, number=1)
            with ui.column().classes("grow min-w-0 gap-4"):
                swapped = ui.select(groups, value=list(groups)[:6], label="groups to swap", multiple=True)
                swapped.props("use-chips").classes("w-full")
                ui.button("Mix", on_click=lambda: self.fill(self.mixed, lambda it: it.mixed(swapped.value)))
        self.mixed = ui.element("div").classes("w-full overflow-x-auto pt-4")

    async def mix_with(self, partner: Latents) -> None:
        """Take another image to mix with."""
        if self.session is not None:
            self.session = self.session.mix_with(partner)
            parts.show(self.other, parts.only(partner))
            self.other_caption.text = parts.told(partner)
            self.mixed.clear()

    def variation(self) -> None:
        """Draw groups anew, or all but them."""
        groups = group_choices(self.schedule)
        ways = {True: "stay, others are drawn anew", False: "are drawn anew"}
        with ui.row().classes("items-end gap-4"):
            chosen = ui.select(groups, value=[0], label="groups", multiple=True).props("use-chips").classes("min-w-40")
            fixed = ui.select(ways, value=True, label="these groups").classes("w-64")
            count, seed = parts.number("variations", 6, 1, 12), parts.number("seed", 0)
            for field in (count, seed):
                field.classes("w-20", remove="grow w-24")

            async def vary() -> None:
                n, start = parts.whole(count) or 6, parts.whole(seed) or 0
                await self.fill(self.varied, lambda it: it.varied(chosen.value, fixed=fixed.value, n=n, seed=start))

            async def again() -> None:
                seed.value = (parts.whole(seed) or 0) + 1
                await vary()

            ui.button("Vary", on_click=vary)
            ui.button("Next seed", on_click=again).props("outline")
        self.varied = ui.element("div").classes("w-full overflow-x-auto pt-4")

    async def fill(self, place: ui.element, job: Callable[[Session], Panels]) -> None:
        """Show panels of the session, with the names of rows and columns."""
        if self.session is None:
            return
        panels = await self.work(partial(job, self.session))
        if panels is None:
            return
        parts.place_panels(place, panels)

    # What these are made of

    async def work(self, job: Callable[[], Any]) -> Any:
        """Do what takes time in a thread, one at a time; tell the visitor what went wrong, and return None then."""

        def alone() -> Any:
            with self.bench.busy:
                return job()

        self.jobs += 1
        self.spinner.set_visibility(True)
        try:
            return await run.io_bound(alone)
        except GDMError as error:
            close = {"label": "Close", "color": "white"}  # a close_button would be of the page's colour, on red
            ui.notify(str(error), type="negative", multi_line=True, actions=[close], timeout=10000)
            return None
        finally:
            self.jobs -= 1
            self.spinner.set_visibility(self.jobs > 0)
