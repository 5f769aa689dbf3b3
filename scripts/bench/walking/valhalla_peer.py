"""Valhalla's isochrones of places, run by a Python that holds the pyvalhalla wheel.

    python valhalla_peer.py EXTRACT.osm.pbf FOLDER < question.json

Builds its tiles in the folder; prints one JSON document: areas, and the median seconds of one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import valhalla


def main() -> None:
    """Run it."""
    extract, folder = sys.argv[1:]
    asked = json.load(sys.stdin)
    settings = Path(folder, "valhalla.json")
    tiles = Path(folder, "tiles")
    tiles.mkdir()
    settings.write_text(json.dumps(valhalla.get_config(tile_extract="", tile_dir=str(tiles))))
    program = Path(valhalla.__path__[0], "bin", "valhalla_build_tiles")
    subprocess.run([program, "-c", settings, extract], check=True, capture_output=True)
    actor = valhalla.Actor(str(settings))
    questions = [
        json.dumps({
            "locations": [{"lon": lon, "lat": lat}],
            "costing": "pedestrian",
            "costing_options": {"pedestrian": {"walking_speed": asked["speed_kmh"]}},
            "contours": [{"time": asked["minutes"]}],
            "polygons": True,
            "denoise": 0,
            "generalize": 0,
        })
        for lon, lat in asked["spots"]
    ]  # fmt: skip
    for question in questions:
        actor.isochrone(question)
    areas, seconds = [], []
    for question in questions:
        start = time.process_time()
        answer = actor.isochrone(question)
        seconds.append(time.process_time() - start)
        areas.append(json.loads(answer))
    print(json.dumps({"areas": areas, "seconds": statistics.median(seconds)}))


if __name__ == "__main__":
    main()
