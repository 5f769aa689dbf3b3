"""Importing this before pyogrio leaves GDAL only the drivers that boundary files need.

GDAL carries eighty. Some follow what a file names to other files, to the network or to programs
(VRT, GDALG, WFS, GML schemas), and every one more is a parser that a hostile file may reach. GDAL
knows no list of allowed drivers that pyogrio could hand it, but it leaves out what ``GDAL_SKIP``
names when it starts; the tests see that nothing else is left.
"""

from __future__ import annotations

import os

ALLOWED = frozenset(
    {
        "DXF", "ESRI Shapefile", "FlatGeobuf", "GPKG", "GeoJSON", "LIBKML", "MapInfo File",
        "TopoJSON",
    }
)  # fmt: skip
"""What is left."""

_SKIPPED = (
    "ADBC AIVector AVCBin AVCE00 AmigoCloud CSV CSW Carto DGN EDIGEO EEDA ESRIJSON Elasticsearch "
    "GDALG GML GPSBabel GPX GTFS GeoJSONSeq GeoRSS HTTP Idrisi JML JSONFG KML LVBAG "
    "MBTiles MEM MVT MapML MiraMonVector NGW OAPIF ODS OGCAPI OGR_GMT OGR_PDS OGR_VRT OSM "
    "OpenFileGDB PCIDSK PDF PDS4 PGDUMP PLSCENES PMTiles S57 SQLite SXF Selafin VDV "
    "VFK VICAR WAsP WFS XLSX"
)

os.environ["GDAL_SKIP"] = ",".join(_SKIPPED.split())
os.environ["GDAL_DRIVER_PATH"] = "disable"  # no plugins either
os.environ["CPL_VSIL_CURL_ALLOWED_EXTENSIONS"] = "{none}"  # nor files behind an address
