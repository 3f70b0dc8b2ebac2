"""What runs inside gateways and model servers, or speaks to them; it imports almost nothing."""
