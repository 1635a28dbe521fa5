"""Downloads masks of DAVIS 2016 val that the web page of DAVIS offers, for tests of its published numbers.

``python leaderboards/third_party/masks.py ROOT`` writes ``ROOT/davis16_zips/NAME.zip``. No licence is stated.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vosbench.data.download.download import download
from vosbench.data.spec import Archive

FOLDER = "davis16_zips"

_SITE = (
    "https://raw.githubusercontent.com/davisvideochallenge/davisvideochallenge.github.io/"
    "30be16ff9d289f6711328c950a19c6288306ade3/results/2016"
)


_ZIPS = (
    ("agame", 2_400_039, "3b326bf4be90e1776dd42e0ba9731aac32f4fb3a7d45a5c9bab02ad1291a1043"),
    ("ags", 2_081_305, "b6e4c82c020faea44b0c550c30fd9590cec3b7643b2cbe1c43914878829b34e4"),
    ("andiff", 3_493_091, "022ac8d243ae8235f74c0294afb81ed79e075c573c714736cd317150d1b8d148"),
    ("cinm", 3_990_891, "f5dadb631ee2640c46be60f57f1c80455e6e0092679f02284c05d9b89084db7d"),
    ("cut", 3_673_242, "6f0582658172fa8df31142167355b5eade201c6ac3d7ca188f42b4f505461e20"),
    ("epo+", 3_038_743, "3c66d7c9d4f28cc6a3d4d0e4c828b893a8f501361e74b5afde9ee17c96f0a894"),
    ("favos", 3_202_162, "5a8c023142c6deaa48e31e11a9c80e23e6c2199de9cbeb035ef059a27597a772"),
    ("feelvos", 3_454_191, "4e5507b86c11e351a6f67ef71675acdbaed7969f30109e8f2ce6654735806ced"),
    ("fseg", 3_611_508, "29bdd0019fd1629f634b386c08bb81fda39a6150e79589d83cc394796107f8dd"),
    ("lsmo", 3_351_335, "7f392e0aef84f05d671dd2e4e12fd9cb7e2ec4bce6c57fb6bc5f8c9a74658907"),
    ("lvo", 3_306_403, "95f639e05fd3184ca9a714cccd77498675961789ce637195ee835826834f547a"),
    ("matnet", 2_450_186, "1badac401b4790076b1e9ae967641b8a2d0f9f6bf491d5661d4b5f59953ca86e"),
    ("mhpvos", 3_129_513, "2222da5cc9ca13702fd51033a2cfd40c7e03437ade245436774120b9181fe659"),
    ("motadapt", 3_208_476, "3cac1a07e197ace912a3a6312892444c2a4ad886c99e349e2f0336f76e2239b0"),
    ("onavos", 3_188_686, "1c140ceb9acaa6d10c8a504aa57dd8bfde8f09bf8c80659261f64cd7368beda0"),
    ("osmn", 2_907_652, "2037656f528f29a431610bfd3e536b7a1ce60201c693ae06314983809b8f9ac2"),
    ("osvos", 1_770_084, "a3722ade958087e4fdd8fc57f4d464aaa8a003aa4dc29f02871a170bce67db54"),
    ("osvoss", 1_908_995, "8902bb8f9c9868986f1d090bea29797e335cb38e206012b429a8b1253365f982"),
    ("pdb", 3_558_269, "0907c32116ae4e417cb3717e7b4626d99798e9bf7b5193df2c481ea3cc210e07"),
    ("plm", 3_435_509, "a0f999f8f726c4a6759ac938ffb6c2d2dcab5905f667366f5d9b6b00592f9152"),
    ("pml", 3_063_227, "76cccd05b37fd3a7c2a1f7ac8ee8dd2adb6e49d79e30038be50fffb9a6bf0b2b"),
    ("premvos", 3_237_957, "c66be4fee1c6896eb867b3e5fea5049d6a2da60733f5b1603ef0e9e28f6958ca"),
    ("ranet", 3_998_177, "59f84cf2e4df32295e1c4b21354911ba55045eb22664825a48f7b4dbbb005b32"),
    ("rgmp", 3_300_280, "ef1158c7a944bfd8ab05a399f4b7ba5d0aed0f1bb65d1bff14d9d8ad2c01396e"),
    ("sfls", 1_736_888, "e43cb88f09e4107de4168801d23ebb6cdc322d764fc30c9adcf8dc8ff5e95092"),
    ("sflu", 3_323_849, "b0d4cdad4a8d0a0b78cb8d9e9f92113e902923616b963e9fe45f97c93b552960"),
    ("siammask", 1_571_626, "75e897d456dfa482d14c3bf4a5bff2547f2f1311a57b8c2d9e54601094527f7b"),
    ("stm", 3_246_239, "0cbb9154b92aed74342b501157fb349cb841c0e73302dc32f19a4a416217135e"),
    ("tis", 3_351_640, "c437735e3776db3143ad6453500a85ae021e74cda38f598f5176bb77eed10260"),
    ("voswl", 3_186_953, "1fd4df5c59054756c38a26995d2143a4ed948a738dae29d17aaa47f0a6b85690"),
)
"""Name, size and SHA-256 of archives of up to four megabytes."""

MASKS = {
    name: Archive(f"{_SITE}/{name}.zip", f"{name}.zip", size, f"sha256:{digest}")
    for name, size, digest in _ZIPS
}
"""Name on the web page -> its masks."""


def fetch_masks(root: Path) -> list[Path]:
    """Download what is not there yet, checked by size and SHA-256; return the files."""
    return [download(source, root / FOLDER) for source in MASKS.values()]


if __name__ == "__main__":
    for path in fetch_masks(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
