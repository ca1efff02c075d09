"""What the columns of older tables are called now."""

from __future__ import annotations

from likewise.data.group_tables.files import GROUP, ID
from likewise.data.payloads import IMAGE

OLD_COLUMNS: dict[str, str] = {
    "patch_id": ID,
    "image_id": ID,
    "item_id": ID,
    "filename": ID,
    "file_name": ID,
    "target_id": GROUP,
    "building_id": GROUP,
    "group_id": GROUP,
    "image_bytes": f"{IMAGE}.bytes",
    "jpg": f"{IMAGE}.bytes",
    "img": f"{IMAGE}.bytes",
    "image_path": f"{IMAGE}.path",
    "dataset_id": "dataset",
    "street_view_id": "street_view",
    "streetview_id": "street_view",
    "target_lat": "target_latitude",
    "lat": "target_latitude",
    "latitude": "target_latitude",
    "target_lon": "target_longitude",
    "target_lng": "target_longitude",
    "lon": "target_longitude",
    "lng": "target_longitude",
    "longitude": "target_longitude",
    "surface_normal_x": "normal_x",
    "surface_normal_y": "normal_y",
    "surface_normal_z": "normal_z",
    "camera_lat": "camera_latitude",
    "cam_lat": "camera_latitude",
    "camera_lon": "camera_longitude",
    "camera_lng": "camera_longitude",
    "cam_lon": "camera_longitude",
    "cam_lng": "camera_longitude",
    "cam_height": "camera_height",
}
"""Names in older tables, and what they are called now; `image.bytes` and `image.path` are parts of the column `image`.

Of several old names of one column, the first one here becomes it, and the others stay as they are.
"""

WITHIN_DATASET = {"target_id": (GROUP, "target"), "patch_id": (ID, "patch")}
"""Whole numbers that are unique within a dataset only: beside the dataset's they become `0001_123`, and stay as metadata."""
