"""What measures the product starts on a checkout as it is: nobody sees otherwise until figures are wanted."""

import os
import subprocess
import sys
from pathlib import Path

from django.conf import settings

BENCHES = sorted(path.stem for path in (settings.BASE_DIR / "tests" / "bench").glob("*.py"))


def test_every_bench_can_be_imported_and_finds_django_ready(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    wanted = "; ".join(f"import tests.bench.{name}" for name in BENCHES)
    wanted += "; from django.conf import settings; assert settings.configured"
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ran = subprocess.run(
        [sys.executable, "-c", wanted],
        cwd=settings.BASE_DIR,
        env=kept | {"AWFDRS_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
