"""International bank account numbers (ISO 13616), confirmed by their length and their mod 97 check."""

import re
from collections.abc import Iterator

from stages.ner.span import Span

LENGTHS = {
    country: int(length)
    for country, length in re.findall(
        r"([A-Z]{2})(\d\d)",
        "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 "
        "ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
        "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 "
        "QA29 RO24 RS22 SA24 SC31 SD18 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20",
    )
}
_HEAD = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[ ]?[0-9OIl]{2}")
_NEXT = re.compile(r"[ \u00a0]{0,2}\n?([A-Za-z0-9])")
# Recognition takes these for each other; a corrected number still has to pass the check.
_CONFUSED = str.maketrans("OoIl", "0011")


def find(text: str) -> Iterator[Span]:
    """Yield IBANs, grouped by spaces or not, also broken over lines; normalised to their compact form."""
    for head in _HEAD.finditer(text):
        country = head[0][:2]
        if country not in LENGTHS:
            continue
        taken = _take(text, head.end(), LENGTHS[country] - 4)
        if taken is None:
            continue
        rest, end = taken
        compact = valid(country, head[0][2:].strip() + rest)
        if compact is not None:
            yield Span("IBAN", head.start(), end, 0.99, compact)


def valid(country: str, rest: str) -> str | None:
    """Return the compact IBAN when its check holds, as read or with confused characters put right."""
    for candidate in (rest.upper(), rest.translate(_CONFUSED).upper()):
        if candidate[:2].isdigit() and mod97(candidate[2:] + country + candidate[:2]) == 1:
            return country + candidate
    return None


def mod97(characters: str) -> int:
    """Return the remainder of ISO 7064 MOD 97-10; letters count from A = 10."""
    return int("".join(str(int(each, 36)) for each in characters)) % 97


def _take(text: str, position: int, count: int) -> tuple[str, int] | None:
    characters = []
    for _ in range(count):
        step = _NEXT.match(text, position)
        if step is None:
            return None
        characters.append(step[1])
        position = step.end()
    if text[position : position + 1].isalnum():
        return None
    return "".join(characters), position
