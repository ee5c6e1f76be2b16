"""The results of the probes: whether the process is alive, ready, and working."""

from fastapi_operator.reconcile.loop.contact import Contact
from fastapi_operator.reconcile.loop.controller import Controller

# If a service has been due for so long, the workers hang.
STUCK_SECONDS = 300.0
# The watches report changes in between; without lists, missed ones are never found.
MISSED_LISTS = 3


class Probes:
    """Each result is the problem; an empty text is success."""

    def __init__(self, controller: Controller, contact: Contact, *, resync_seconds: float) -> None:
        self._controller = controller
        self._contact = contact
        self._list_seconds = MISSED_LISTS * resync_seconds
        self.standby = False

    def why_unhealthy(self) -> str:
        """Returns why the process should be restarted."""
        waited = self._controller.queue.oldest_wait_seconds
        return f"a service has waited for {waited:.0f} s" if waited > STUCK_SECONDS else ""

    def why_not_ready(self) -> str:
        """Returns why the process is not ready; a standby is ready to become leader."""
        missing = self._contact.why_missing()
        if missing or self.standby:
            return missing or self.why_unhealthy()
        if not self._controller.synced:
            return "the initial list is not complete"
        age = self._controller.list_age_seconds
        if age > self._list_seconds:
            return f"no list of all objects was complete for {age:.0f} s; see the log"
        return self.why_unhealthy()

    @property
    def working(self) -> bool:
        """Whether the process reconciles services: a standby does not."""
        return not self.standby and not self.why_not_ready()
