"""QGIS reading a collection through its own provider; run by the Python that QGIS came with.

``python qgis_client.py URL COLLECTION [WEST SOUTH EAST NORTH]`` prints what it read as JSON;
with a box and ``tiles`` after it, how many points of a picture its vector tiles coloured.
"""

import json
import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from qgis.core import (
    QgsApplication,
    QgsFeatureRequest,
    QgsRectangle,
    QgsSettings,
    QgsVectorLayer,
)

url, collection, *box = sys.argv[1:]
as_tiles = box[-1:] == ["tiles"]
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()
if as_tiles:
    from qgis.core import (
        QgsCoordinateReferenceSystem,
        QgsMapRendererParallelJob,
        QgsMapSettings,
        QgsVectorTileLayer,
    )
    from qgis.PyQt.QtCore import QSize

    tiles = f"type=xyz&url={url}/collections/{collection}/tiles/{{z}}/{{x}}/{{y}}&zmin=0&zmax=16"
    drawn = QgsVectorTileLayer(tiles, collection)
    settings = QgsMapSettings()
    settings.setLayers([drawn])
    settings.setOutputSize(QSize(300, 300))
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    settings.setExtent(QgsRectangle(*map(float, box[:-1])))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    picture = job.renderedImage()
    paper = picture.pixel(0, 0)
    points = [picture.pixel(x, y) != paper for x in range(0, 300, 3) for y in range(0, 300, 3)]
    print("QGIS " + json.dumps({"valid": drawn.isValid(), "coloured": sum(points)}))
    sys.stdout.flush()
    os._exit(0)
QgsSettings().setValue("qgis/defaultLayerTimeout", 20000)
paging = "pagingEnabled='true' pageSize='17' restrictToRequestBBOX='1'"
source = f"{paging} typename='{collection}' url='{url}'"
layer = QgsVectorLayer(source, collection, "OAPIF")
request = QgsFeatureRequest()
if box:
    request.setFilterRect(QgsRectangle(*map(float, box)))
features = [
    {**{name: feature[name] for name in ("code", "name", "households")},
     "wkt": feature.geometry().asWkt(12)}
    for feature in layer.getFeatures(request)
]  # fmt: skip
told = {"valid": layer.isValid(), "crs": layer.crs().authid(), "features": features,
        "error": layer.error().message()}  # fmt: skip
print("QGIS " + json.dumps(told))
sys.stdout.flush()
os._exit(0)  # its own shutdown without a display can hang
