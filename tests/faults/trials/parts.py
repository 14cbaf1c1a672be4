"""All parts, by their names."""

from tests.faults.trials import duplicates, kill_points, random_kills, storms
from tests.faults.trials.part import Part

PARTS: dict[str, Part] = {
    part.name: part for part in (kill_points.PART, random_kills.PART, duplicates.PART, storms.PART)
}
