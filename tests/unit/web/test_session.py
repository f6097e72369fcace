"""Where somebody is led after signing in."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from tieline.web.session import own_path

LIKE_ADDRESSES = st.text(st.sampled_from("/\\:@?#.%\t\r\n a1-_évil"), max_size=30)


@given(LIKE_ADDRESSES | st.text(max_size=30))
def test_whatever_the_link_says_the_way_stays_on_this_site(wanted: str) -> None:
    # browsers drop tabs and line ends, and take a backslash for a slash
    read = own_path(wanted).replace("\t", "").replace("\n", "").replace("\r", "").replace("\\", "/")
    assert urlsplit(urljoin("http://hub.example/sign-in", read)).netloc == "hub.example"


@given(st.from_regex(r"(/[a-z0-9._-]{1,8}){1,4}(\?[a-z]=[a-z0-9%]{0,5})?", fullmatch=True))
def test_a_path_of_ours_is_kept(wanted: str) -> None:
    assert own_path(wanted) == wanted
