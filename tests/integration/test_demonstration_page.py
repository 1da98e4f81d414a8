"""The demonstration's page in a real browser, as narrow as a phone and as wide as a desk."""

import re

import pytest

from tasks.demonstration.page import write
from tests.integration.test_report_page import CHROMIUM, browse
from tests.unit.demonstration.test_page import story

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH to open the page in")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_sideways(tmp_path, width):
    measure = "document.title = [innerWidth, document.documentElement.scrollWidth].join()"
    policy = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
    text = policy.sub("", write(tmp_path / "page.html", story()).read_text("utf-8"))
    (tmp_path / "inner.html").write_text(text.replace("</body>", f"<script>{measure}</script>"))
    ask = "onload = () => { document.title = frames[0].document.title }"
    frame = f'<iframe width="{width}" height="900" src="inner.html"></iframe>'
    outer = tmp_path / "outer.html"
    outer.write_text(f"{frame}<script>{ask}</script>")
    shown = browse(outer, tmp_path / "profile", "--allow-file-access-from-files", "--dump-dom")
    inner, needed = map(int, re.search(r"<title>(\d+),(\d+)</title>", shown).groups())
    assert (inner, needed) == (width, width)
