"""The typed intermediate representation: its nodes, and what can be asked of them."""

from .nodes import *  # noqa: F403
from .questions import *  # noqa: F403
from .statements import *  # noqa: F403
