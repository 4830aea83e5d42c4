#!/usr/bin/env python3
"""snapshot.py FILE: is it a heap snapshot as V8 writes them, and the memory panel of Chrome's developer tools reads them?

Checks the order of members, the fields and types that the panel looks up by name, every index, and that all nodes hang on the root; weak edges do not count.
Then prints, for the tests: `nodes N edges E bytes B`, and for each object `id class self retained`, retained by taking the node
away and marking what is left."""
import json
import sys


def need(condition, what):
    if not condition:
        sys.exit(f"{FILE}: {what}")


def ordered(pairs):
    names = [name for name, _ in pairs]
    need(len(names) == len(set(names)), "a member is there twice")
    return dict(pairs)


def check_meta(snapshot):
    meta = snapshot["meta"]
    need(meta["node_fields"] == ["type", "name", "id", "self_size", "edge_count", "trace_node_id", "detachedness"], "node_fields")
    need(len(meta["node_types"]) == len(meta["node_fields"]) - 1 or len(meta["node_types"]) == len(meta["node_fields"]), "node_types")
    need({"hidden", "object", "synthetic", "native", "string", "array", "code", "closure", "regexp"} <= set(meta["node_types"][0]), "types of nodes")
    need(meta["node_types"][1:5] == ["string", "number", "number", "number"], "types of a node's fields")
    need(meta["edge_fields"] == ["type", "name_or_index", "to_node"], "edge_fields")
    need(meta["edge_types"][1:] == ["string_or_number", "node"], "types of an edge's fields")
    need({"element", "hidden", "internal", "property", "shortcut", "weak", "context"} <= set(meta["edge_types"][0]), "types of edges")
    for name in ["trace_function_info_fields", "trace_node_fields", "sample_fields", "location_fields"]:
        need(all(isinstance(field, str) for field in meta[name]), name)
    return meta


def check_nodes(heap, meta):
    fields, nodes = len(meta["node_fields"]), heap["nodes"]
    need(len(nodes) == fields * heap["snapshot"]["node_count"], "node_count")
    rows = [nodes[i:i + fields] for i in range(0, len(nodes), fields)]
    ids = set()
    for kind, name, identity, size, edges, trace, detached in rows:
        need(0 <= kind < len(meta["node_types"][0]), "a node's type")
        need(0 <= name < len(heap["strings"]), "a node's name")
        need(identity > 0 and identity not in ids, "an id is there twice")
        need(size >= 0 and edges >= 0 and trace == 0 and detached in (0, 1, 2), "a node's figures")
        ids.add(identity)
    need(meta["node_types"][0][rows[0][0]] == "synthetic" and heap["strings"][rows[0][1]] == "", "the first node is no root")
    return rows


def check_edges(heap, meta, nodes):
    fields, edges = len(meta["edge_fields"]), heap["edges"]
    need(len(edges) == fields * heap["snapshot"]["edge_count"], "edge_count")
    need(sum(node[4] for node in nodes) == heap["snapshot"]["edge_count"], "the edges of nodes do not add up")
    children, at = [], 0
    for node in nodes:
        mine = []
        for kind, name, to in (edges[i:i + fields] for i in range(at, at + node[4] * fields, fields)):
            need(0 <= kind < len(meta["edge_types"][0]), "an edge's type")
            word = meta["edge_types"][0][kind]
            need(word in ("element", "hidden") or 0 <= name < len(heap["strings"]), "an edge's name")
            need(name >= 0 and to % len(meta["node_fields"]) == 0 and 0 <= to < len(heap["nodes"]), "an edge leads nowhere")
            if word != "weak":
                mine.append(to // len(meta["node_fields"]))
        children.append(mine)
        at += node[4] * fields
    return children


def reached(children, without):
    seen, todo = {0, without}, [0]
    while todo:
        for child in children[todo.pop()]:
            if child not in seen:
                seen.add(child)
                todo.append(child)
    seen.discard(without)
    return seen


def main():
    with open(FILE, encoding="utf-8") as file:
        heap = json.load(file, object_pairs_hook=ordered)
    need(list(heap) == ["snapshot", "nodes", "edges", "trace_function_infos", "trace_tree", "samples", "locations", "strings"], "members, or their order")
    need(all(isinstance(text, str) for text in heap["strings"]), "strings")
    for name in ["nodes", "edges"]:
        need(all(type(number) is int and number >= 0 for number in heap[name]), f"{name} are not all numbers")
    for name in ["trace_function_infos", "trace_tree", "samples", "locations"]:
        need(heap[name] == [], name)
    meta = check_meta(heap["snapshot"])
    nodes = check_nodes(heap, meta)
    children = check_edges(heap, meta, nodes)
    whole = reached(children, -1) - {-1}
    need(len(whole) == len(nodes), "nodes that are reached from nowhere")
    need([heap["strings"][nodes[n][1]] for n in (1, 2)] == ["(GC roots)", "(not held)"] and children[0][0] == 1 and children[1] == [2], "roots")
    print("nodes", len(nodes), "edges", heap["snapshot"]["edge_count"], "bytes", sum(node[3] for node in nodes))
    garbage = reached([[2]] + [[]] + children[2:], -1) - {-1, 0, 2} if children[2] else set()
    held = reached([children[0][1:]] + children[1:], -1) - {-1, 0}
    need(garbage - held == set(children[2]), "what hangs under (not held) is not what nothing holds")
    for n in range(3, len(nodes)):
        left = reached(children, n)
        print(nodes[n][2], heap["strings"][nodes[n][1]].encode("unicode_escape").decode().replace(" ", "_"), nodes[n][3],
              sum(nodes[m][3] for m in whole - left))


FILE = sys.argv[1]
main()
