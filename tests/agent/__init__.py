"""Tests of what a load balancer is told."""
