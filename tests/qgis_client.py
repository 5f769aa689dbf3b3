"""QGIS reading a collection through its own provider; run by the Python that QGIS came with.

``python qgis_client.py URL COLLECTION [WEST SOUTH EAST NORTH]`` prints what it read as JSON.
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
QgsApplication.setPrefixPath("/usr", True)
application = QgsApplication([], False)
application.initQgis()
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
