"""Blobs in a store on another machine, with copies in a folder of this one."""
