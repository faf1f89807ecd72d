"""Holds the framework declarations that are used off the Mac against what PyObjC's wheels know of the frameworks."""
