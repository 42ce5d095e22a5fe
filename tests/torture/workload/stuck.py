"""What nobody outside ever does for us: cards that the gateway refuses for ever, and recipients that the mail server refuses for ever."""

from __future__ import annotations

# The simulated gateway authorises these, and refuses every capture, void and refund.
METHODS = ("card-stuck-404", "card-stuck-402", "card-stuck-500", "card-stuck-silent")
# Those of them whose refusal is no answer: they are tried until the attempts are used up, and then stand in the dead letters.
UNANSWERED = ("card-stuck-500", "card-stuck-silent")
# The mail server of the suite answers 451 to recipients whose address begins so.
REFUSED = "refused."


def is_refused(address: str) -> bool:
    """Whether the mail server refuses this recipient."""
    return address.startswith(REFUSED)
