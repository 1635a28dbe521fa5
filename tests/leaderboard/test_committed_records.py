"""What the committed records say about the machine that made them."""

import json
import re
from pathlib import Path

RECORDS = Path(__file__).parents[2] / "leaderboards" / "records"


def test_committed_commands_name_no_folder_of_the_machine_they_ran_on():
    files = sorted(RECORDS.rglob("*.json"))
    assert files
    commands = {json.loads(file.read_bytes())["provenance"]["command"] for file in files}
    assert [command for command in commands if re.search(r"(^|[\s=:])[/~](?!/)", command)] == []
