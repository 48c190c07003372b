"""Engines that move datagrams between clients and peers by the tables the core keeps."""
