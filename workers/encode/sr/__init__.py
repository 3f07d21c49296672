"""The structured report: TID 1500 of PS3.16 as Comprehensive 3D SR."""
