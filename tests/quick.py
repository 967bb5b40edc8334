"""The only place that spares the tests what takes time and what no test is about."""

from typing import Any

from whitenoise.middleware import WhiteNoiseMiddleware


def look_for_static_files_once() -> None:
    """Every test client loads the middlewares anew, and this one reads all static files each time."""
    look, found = WhiteNoiseMiddleware.add_files_from_finders, dict[str, Any]()

    def remembered(self: WhiteNoiseMiddleware) -> None:
        if not found:
            look(self)
            found.update(self.files)
        self.files.update(found)

    WhiteNoiseMiddleware.add_files_from_finders = remembered
