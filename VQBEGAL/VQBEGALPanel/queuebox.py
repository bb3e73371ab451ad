"""What waits to be sent, and what a server did not take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from VQBEGALLib.delivery import Item, redirect, waiting
from VQBEGALPanel.delivering import format_words
from VQBEGALPanel.sections import Gate, attempt, fill_table, selected_row, set_up_table

if TYPE_CHECKING:
    from VQBEGALLib.pacs.server import Server
    from VQBEGALPanel.delivering import Delivering
    from VQBEGALPanel.jobs import Outcome
    from VQBEGALPanel.servers import Servers
    from VQBEGALPanel.session import Session


class QueueBox:
    """Shows the study's queue, sends it again, and takes objects out of it.

    Args:
        ui: the panel's widgets.
        session: with the open study.
        servers: known servers.
        delivering: starts the jobs.
        tell: shows how it went, with the instances that failed.
    """

    def __init__(
        self,
        ui,
        session: Session,
        gate: Gate,
        servers: Servers,
        delivering: Delivering,
        tell: Callable[..., None],
    ) -> None:
        self._ui, self._session, self._gate, self._servers = ui, session, gate, servers
        self._delivering, self._tell = delivering, tell
        self._items: list[Item] = []
        set_up_table(ui.queueTable, [_("Case"), _("As"), _("Objects"), _("Since"), _("Server")])
        set_up_table(ui.exportProblems, [_("Object"), _("Why it was not taken")])
        ui.queueTable.connect("itemSelectionChanged()", self._update_gates)
        ui.sendAgain.connect("clicked()", attempt(self.send_again))
        ui.removeWaiting.connect("clicked()", attempt(self.remove))

    def selected(self) -> Item | None:
        """Return the selected object; the first one without a selection."""
        row = selected_row(self._ui.queueTable)
        return self._items[max(row, 0)] if self._items else None

    def send_again(self) -> None:
        """Send all that waits for the selected object's server; where its address has changed, after asking."""
        server, item = self._server(), self.selected()
        if item.address != server.url:
            if not slicer.util.confirmOkCancelDisplay(
                _("This was meant for {server} at {old}. Send it to {new} instead?").format(
                    server=server.name, old=item.address, new=server.url
                )
            ):
                return
            for each in self._items:
                if (each.server, each.address) == (item.server, item.address):
                    redirect(self._session.study, each.id, server)
        self._tell("")
        self._delivering.send_again(server, self.sent)

    def remove(self) -> None:
        """Take the selected object out, after asking."""
        item = self.selected()
        question = _("Do not send this object of {case} to {server}? It is deleted; the segmentation stays.")
        if item.damaged:
            question = _("Delete the damaged entry?")
        if slicer.util.confirmOkCancelDisplay(question.format(case=item.about.get("case", ""), server=item.server)):
            self._delivering.remove(item.id, lambda _outcome: None)

    def sent(self, outcome: Outcome) -> None:
        """Say how sending went."""
        result = outcome.result
        if result is None:
            cancelled = _("Cancelled; what was not sent yet waits in the study.")
            self._tell(cancelled if outcome.cancelled else f"{outcome.problem} {outcome.remedy}".strip())
            return
        self._tell(sent_text(result), result["problems"])

    def show_problems(self, problems: Sequence[Mapping[str, Any]]) -> None:
        """List what a server did not take."""
        self._ui.exportProblems.visible = bool(problems)
        fill_table(self._ui.exportProblems, [[str(item["instance"]), str(item["reason"])] for item in problems])

    def update(self) -> None:
        """Show what waits, and grey what cannot be done."""
        ui, study = self._ui, self._session.study
        self._items = [] if study is None else waiting(study.folder)
        ui.queueGroup.visible = bool(self._items)
        ui.queueText.text = " ".join(waiting_texts(self._items))
        fill_table(ui.queueTable, [_row(item) for item in self._items])
        self._update_gates()

    def _server(self) -> Server | None:
        item = self.selected()
        return None if item is None else self._servers.profiles().get(item.server)

    def _update_gates(self) -> None:
        ui, session, item = self._ui, self._session, self.selected()
        against = session.reasons.exporting(dicom=True)
        reason = ""
        if item is not None and not against:
            server = self._server()
            if item.damaged:
                reason = _("This entry is damaged; remove it, and send the result again.")
            elif server is None:
                reason = _("There is no server {name} any more: add it with “Servers…”.").format(name=item.server)
            elif self._servers.lacks_secret(server):
                reason = _("Choose {server} under “PACS” and enter its password.").format(server=server.name)
        self._gate.set(ui.sendAgain, against or reason)
        problem = "" if item is None else item.last_problem
        ui.queueProblem.text = _("Last time: {reason}").format(reason=problem) if problem else ""
        ui.queueProblem.visible = bool(problem)
        self._gate.set(ui.removeWaiting, session.reasons.exporting(dicom=False))


def waiting_texts(items: Sequence[Item]) -> list[str]:
    """Return a sentence for each server that something waits for."""
    texts = []
    for server in dict.fromkeys(item.server for item in items if not item.damaged):
        mine = [item for item in items if item.server == server]
        since, count = moment(min(item.created for item in mine)), sum(len(item.left) for item in mine)
        text = _("{count} objects wait for {server} (since {since}).")
        if count == 1:
            text = _("{count} object waits for {server} (since {since}).")
        texts.append(text.format(count=count, server=server, since=since))
    if any(item.damaged for item in items):
        texts.append(_("An entry is damaged."))
    return texts


def _row(item: Item) -> list[str]:
    case = str(item.about.get("case", ""))
    return [case, format_name(item), str(len(item.left)), moment(item.created), item.server]


def format_name(item: Item) -> str:
    """Return what kind of object waits, in words."""
    kind = str(item.about.get("format", ""))
    return format_words()[kind][0].partition(" (")[0] if kind in format_words() else kind


def moment(text: str) -> str:
    """Return a time of the study's log as the person's own clock shows it."""
    try:
        when = datetime.fromisoformat(text).astimezone()
    except ValueError:
        return text
    today = when.date() == datetime.now().astimezone().date()
    return when.strftime("%H:%M" if today else "%d %b %H:%M")


def sent_text(result: Mapping[str, Any]) -> str:
    """Return what came of sending, one line."""
    parts = [_("{count} sent to {server}.").format(count=result["sent"], server=result["server"])]
    if result["already"]:
        parts.append(_("{count} were there already.").format(count=result["already"]))
    if result["problems"]:
        parts.append(_("{count} were not taken; see below.").format(count=len(result["problems"])))
    if result["waiting"]:
        parts.append(_("{count} wait in the study.").format(count=result["waiting"]))
    return " ".join(parts)
