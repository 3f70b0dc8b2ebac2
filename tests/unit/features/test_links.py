"""Who uses whom, and in which share."""

import numpy as np

from excise.features.links import Links


def counted(links, client, use, requests, tokens):
    row = links.one(client, use)
    links.add(np.array([row]), np.array([[requests, tokens, requests]]), np.array([1.0]))


def test_shares_are_the_lesser_of_requests_and_tokens():
    links = Links(8)
    counted(links, 1, 10, 3.0, 100.0)
    counted(links, 1, 11, 1.0, 300.0)
    assert links.shares(1, lambda use: use) == {11: 0.25, 10: 0.25}


def test_a_link_made_for_a_record_that_has_not_counted_yet_has_no_share():
    # else a sum over shares would have other terms, and end in another bit, in larger batches
    links = Links(8)
    counted(links, 1, 10, 3.0, 100.0)
    links.one(1, 11)
    assert links.shares(1, lambda use: use) == {10: 1.0}
    assert links.uses(1) == [10]
    assert links.of_client(1).tolist() == [1]
